//! A message that only shows how messages arrive.

use std::collections::BTreeMap;

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{Alert, AlertStatus, Reason, Signal};
use crate::plugin::{Message, NotifyError, Receipt};
use crate::watchlist::{Roster, Told};

/// Sends a test message through a notifier, once, and answers what the service said.
///
/// # Errors
/// What the notifier says.
pub async fn send_test(roster: &Roster, told: &Told, now: Timestamp) -> Result<Receipt, NotifyError> {
    let title = "Stakeout test message";
    let body = format!("This is how messages through `{}` arrive.", told.name);
    let alert = Alert {
        id: Uuid::now_v7().to_string(),
        watch: "test".into(),
        strategy: "test".into(),
        signal: Signal::level("test", "test", true).summary(title),
        status: AlertStatus::Firing,
        reason: Reason::First,
        title: title.into(),
        body: body.clone(),
        url: None,
        starts_at: now,
        ends_at: None,
        labels: BTreeMap::new(),
    };
    let message = Message {
        delivery_id: &Uuid::now_v7().to_string(),
        attempt: 1,
        created_at: now,
        parts_done: 0,
        title,
        body: &body,
        url: None,
        alerts: std::slice::from_ref(&alert),
        picture: None,
    };
    told.notifier.notify(&roster.http, &message).await
}
