//! What a person does not want to hear now.

use std::collections::BTreeMap;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::openapi::schema::{AdditionalProperties, ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{IntoParams, PartialSchema, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::super::Shared;
use super::super::problem::Problem;
use super::question::{Cursor, Limit, Page, after, rfc_3339};
use super::watches;
use crate::model::{Matchers, Period, Silence};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, add)).routes(routes!(end))
}

/// Which silences.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Which {
    /// Also those that have ended.
    #[serde(default)]
    #[param(required = false)]
    ended: bool,
    /// At most so many.
    #[serde(default)]
    #[param(inline, required = false)]
    limit: Limit,
    /// After the page that said so.
    #[param(value_type = Cursor, inline, required = false)]
    cursor: Option<Cursor>,
}

/// A silence to be: from now on, for so long or until then.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewSilence {
    /// What it is about; all of them must match, and `*` stands for any text.
    #[schema(value_type = Patterns, inline)]
    matchers: BTreeMap<String, String>,
    /// For so long: `45m`, `2h`, `7d`; this or `ends_at`.
    #[serde(rename = "for")]
    #[schema(value_type = String, required = false, pattern = "^[0-9]{1,5}[smhdw]$", example = "2h")]
    length: Option<String>,
    /// Until then.
    #[schema(value_type = String, required = false, format = DateTime)]
    ends_at: Option<String>,
    /// Why; shown in the message that says that it has ended.
    #[serde(default)]
    #[schema(required = false, max_length = 1000)]
    comment: String,
}

/// The shape of what a silence is about.
struct Patterns;

impl PartialSchema for Patterns {
    fn schema() -> RefOr<Schema> {
        let text = || ObjectBuilder::new().schema_type(Type::String);
        ObjectBuilder::new()
            .min_properties(Some(1))
            .property_names(Some(text().pattern(Some("^(watch|subject|strategy|label\\..+)$")).build()))
            .additional_properties(Some(AdditionalProperties::RefOr(text().into())))
            .examples([serde_json::json!({"watch": "btc", "subject": "BTC/*"})])
            .into()
    }
}

impl ToSchema for Patterns {}

/// The silences that are in force or to come, the newest first.
#[utoipa::path(get, path = "/v1/silences", tag = "silences", params(Which),
    responses((status = 200, description = "The newest first", body = Page<Silence>)))]
async fn list(
    State(shared): State<Shared>,
    Query(which): Query<Which>,
) -> Result<Json<Page<Silence>>, Problem> {
    let (now, key) = (Timestamp::now(), after(which.cursor.as_ref())?);
    let page = shared.store.silences_page(now, which.ended, key, which.limit.rows()).await?;
    Ok(Json(Page::of(page, |row| row)?))
}

/// Does not tell the beginnings of something for a while; ends are told all the same.
#[utoipa::path(post, path = "/v1/silences", tag = "silences", request_body = NewSilence,
    responses((status = 201, description = "It is silenced from now on", body = Silence)))]
async fn add(State(shared): State<Shared>, Json(new): Json<NewSilence>) -> Result<Response, Problem> {
    let now = Timestamp::now();
    if let Some(watch) = new.matchers.get("watch").filter(|watch| !watch.contains('*')) {
        watches::find(&shared, watch)?;
    }
    let ends_at = new.end(now).map_err(Problem::unprocessable)?;
    let matchers = Matchers::try_from(new.matchers).map_err(Problem::unprocessable)?;
    let silence = Silence::new(matchers, ends_at, "api", &new.comment, now);
    let mut silence = silence.map_err(Problem::unprocessable)?;
    silence.id = shared.store.add_silence(silence.clone(), now).await?;
    Ok((StatusCode::CREATED, Json(silence)).into_response())
}

/// Ends a silence now. What it kept quiet and is still so is told at the watch's next run.
#[utoipa::path(delete, path = "/v1/silences/{id}", tag = "silences",
    params(("id" = i64, Path, description = "The silence", minimum = 1)),
    responses((status = 204, description = "It has ended")))]
async fn end(State(shared): State<Shared>, Path(id): Path<i64>) -> Result<StatusCode, Problem> {
    match shared.store.end_silence(id, Timestamp::now()).await? {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Problem::not_found(format!("there is no silence {id} in force"))),
    }
}

impl NewSilence {
    fn end(&self, now: Timestamp) -> Result<Timestamp, String> {
        match (&self.length, &self.ends_at) {
            (Some(length), None) => {
                let length: Period = length.parse()?;
                Ok(now.checked_add(length.0).unwrap_or(Timestamp::MAX))
            }
            (None, Some(text)) => rfc_3339(text)
                .ok_or_else(|| format!("`{text}` is no moment; write it like \"2026-11-21T18:00:00Z\"")),
            _ => Err("a silence must end: say `for` how long, or when it `ends_at`".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::at;

    #[test]
    fn a_silence_ends_once() {
        let now = at("2026-11-21T10:00:00Z");
        let end = |length: Option<&str>, ends_at: Option<&str>| {
            let (length, ends_at) = (length.map(str::to_owned), ends_at.map(str::to_owned));
            NewSilence { matchers: BTreeMap::new(), length, ends_at, comment: String::new() }.end(now)
        };
        assert_eq!(end(Some("2h"), None), Ok(at("2026-11-21T12:00:00Z")));
        assert_eq!(end(None, Some("2026-11-22T00:00:00+01:00")), Ok(at("2026-11-21T23:00:00Z")));
        for (length, ends_at, why) in [
            (None, None, "must end"),
            (Some("2h"), Some("2026-11-22T00:00:00Z"), "must end"),
            (Some("soon"), None, "length of time"),
            (None, Some("tomorrow"), "no moment"),
        ] {
            let said = end(length, ends_at).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
