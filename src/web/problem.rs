//! What went wrong, in the shape that programs know: problem details (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tracing::error;
use utoipa::ToSchema;

use super::Refused;
use crate::config::Mistake;

/// The media type of problem details.
pub(super) const MEDIA_TYPE: &str = "application/problem+json";

/// What went wrong (RFC 9457).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub(super) struct Problem {
    /// Always `about:blank`: the status says it all.
    #[serde(rename = "type")]
    #[schema(example = "about:blank")]
    kind: &'static str,
    /// The status in words.
    #[schema(example = "Not Found")]
    title: String,
    /// The status.
    #[schema(minimum = 400, maximum = 599, example = 404)]
    status: u16,
    /// What went wrong here, in a sentence.
    detail: String,
    /// The path that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    /// Each mistake of a watch's table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    errors: Vec<KeyedMistake>,
}

/// One mistake of a watch's table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
struct KeyedMistake {
    /// Where: the table and the key, as far as it is known.
    key: String,
    /// What is wrong, and what to do.
    message: String,
}

impl Problem {
    /// A problem of this status, told in a sentence.
    pub(super) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error").to_owned();
        let (kind, status) = ("about:blank", status.as_u16());
        Self { kind, title, status, detail: detail.into(), instance: None, errors: Vec::new() }
    }

    /// There is nothing of this name.
    pub(super) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// It cannot be done as things stand.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// It was understood, and makes no sense.
    pub(super) fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// With the path that was asked for.
    pub(super) fn at(mut self, path: &str) -> Self {
        self.instance = Some(path.to_owned());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static(MEDIA_TYPE);
        let mut response = (status, [(header::CONTENT_TYPE, kind)], body).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        let status = match &refused {
            Refused::Unknown(_) => StatusCode::NOT_FOUND,
            Refused::Exists(_) | Refused::InFile(_) | Refused::Busy(_) => StatusCode::CONFLICT,
            Refused::Mistakes(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Refused::Failed(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let mut problem = Self::new(status, refused.to_string());
        if let Refused::Mistakes(mistakes) = refused {
            problem.errors = mistakes.into_iter().map(KeyedMistake::from).collect();
        }
        problem
    }
}

impl From<Mistake> for KeyedMistake {
    fn from(mistake: Mistake) -> Self {
        Self { key: mistake.place, message: mistake.message }
    }
}

/// Something that is ours to mend: the reason goes into the log, a sentence to the caller.
fn ours(error: &dyn std::fmt::Display) -> Problem {
    error!(%error, "A question to the API could not be answered");
    let sentence = "This could not be answered; the daemon's log says why.";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, sentence)
}

impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        ours(&error)
    }
}

impl From<crate::store::WriteError> for Problem {
    fn from(error: crate::store::WriteError) -> Self {
        ours(&error)
    }
}

impl From<serde_json::Error> for Problem {
    fn from(error: serde_json::Error) -> Self {
        ours(&error)
    }
}

impl From<csv::Error> for Problem {
    fn from(error: csv::Error) -> Self {
        ours(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_refusal_has_its_status_and_each_mistake_its_key() {
        for (refused, status) in [
            (Refused::Unknown("none".into()), 404),
            (Refused::Exists("two".into()), 409),
            (Refused::InFile("file".into()), 409),
            (Refused::Busy("busy".into()), 409),
            (Refused::Failed("no".into()), 500),
        ] {
            assert_eq!(Problem::from(refused).status, status);
        }
        let mistake = Mistake {
            file: "".into(),
            line: None,
            place: "source.url".into(),
            message: "this is no address".into(),
        };
        let problem = Problem::from(Refused::Mistakes(vec![mistake])).at("/api/v1/watches");
        let json = serde_json::json!({"type": "about:blank", "title": "Unprocessable Entity", "status": 422,
            "detail": "the watch has mistakes", "instance": "/api/v1/watches",
            "errors": [{"key": "source.url", "message": "this is no address"}]});
        assert_eq!(serde_json::to_value(&problem).unwrap(), json);
    }
}
