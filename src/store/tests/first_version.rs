//! What an older daemon has written is all there after an update.

use super::*;

/// What a daemon of the first version leaves behind: a bar, a reading that is still there and one that is not,
/// and messages of a watch, of a host and of nothing that is kept.
const FIRST_VERSION: [&str; 8] = [
    "insert into watch (id, name, origin, spec, spec_hash, created_at) values (7, 'w', 'file', '{}', 1, 0)",
    "insert into due (watch_id, next_due_at) values (7, 60000)",
    "insert into observation (id, watch_id, subject, observed_at, last_seen_at, reading)
     values (1, 7, 'here', 1000, 5000, '{\"value\": 1.0, \"unit\": \"\"}'),
            (2, 7, 'gone', 1000, 4000, '{\"value\": 2.0, \"unit\": \"\"}')",
    "insert into subject (watch_id, subject, request, present, hash, observed_at, observation_id, last_seen_at)
     values (7, 'here', 0, 1, 0, 1000, 1, 5000), (7, 'gone', 0, 0, 0, 1000, 2, 4000)",
    "insert into candle (watch_id, subject, interval, open_time, open, high, low, close, volume)
     values (7, 'bars', 60, 0, 1, 2, 0.5, 1.5, 10)",
    "insert into alert (id, run_id, watch_id, watch, strategy, subject, status, created_at, alert)
     values ('of-watch', 1, 7, 'w', 'threshold', 'here', 'firing', 1000, '{}'),
            ('of-host', 1, 7, 'w', 'run', 'shop.example', 'firing', 1000, '{}')",
    "insert into delivery (id, run_id, notifier, title, body, alert_ids, status, created_at, next_attempt_at)
     values ('c', 1, 'hook', 'of a host', 'b', '[\"of-host\"]', 'pending', 3000, 3000),
            ('b', 1, 'hook', 'of a watch', 'b', '[\"of-watch\"]', 'pending', 2000, 2000),
            ('d', 1, 'hook', 'of none', 'b', '[\"lost\"]', 'pending', 4000, 4000)",
    "insert into delivery (id, run_id, notifier, title, body, alert_ids, status, attempts, created_at,
         next_attempt_at, delivered_at)
     values ('a', 1, 'hook', 'told', 'b', '[\"of-watch\"]', 'delivered', 2, 1000, 1000, 1500)",
];

#[tokio::test]
async fn a_database_of_the_first_version_keeps_everything_and_its_messages_go_out_in_order() {
    let folder = TempDir::new().unwrap();
    let options = SqliteConnectOptions::new().filename(Store::path_in(folder.path())).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::migrate!().run_to(1, &mut connection).await.unwrap();
    for statement in FIRST_VERSION {
        sqlx::query(statement).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();

    let stage = Stage { store: Store::open(folder.path()).await.unwrap(), folder };
    let mut connection = stage.raw().await;
    type Row = (String, String, String, String, i64, Option<i64>);
    let deliveries: Vec<Row> =
        sqlx::query_as("select id, kind, topic, status, attempts, delivered_at from delivery order by seq")
            .fetch_all(&mut connection)
            .await
            .unwrap();
    let row = |id: &str, topic: &str, status: &str, attempts, delivered_at| -> Row {
        (id.into(), "news".into(), topic.into(), status.into(), attempts, delivered_at)
    };
    assert_eq!(
        deliveries,
        [
            row("a", "7/threshold", "delivered", 2, Some(1_500)),
            row("b", "7/threshold", "pending", 0, None),
            row("c", "host/shop.example", "pending", 0, None),
            row("d", "", "pending", 0, None),
        ]
    );
    for (question, expected) in [
        ("select count(*) from alert", 2),
        ("select count(*) from due where next_due_at = 60000", 1),
        ("select count(*) from candle where seen_at is null and close = 1.5", 1),
        ("select count(*) from observation where first_seen_at is null", 2),
        ("select gone_at from observation where subject = 'gone'", 4_001),
        ("select count(*) from observation where subject = 'here' and gone_at is null", 1),
        ("select count(*) from pragma_foreign_key_check", 0),
        ("select count(*) from pragma_integrity_check where integrity_check <> 'ok'", 0),
    ] {
        let found: i64 = sqlx::query_scalar(question).fetch_one(&mut connection).await.unwrap();
        assert_eq!(found, expected, "{question}");
    }
    assert!(stage.folder.path().join("stakeout.before-4.db").exists());
}
