//! A notifier whose answers hold no secret of its table, whatever the service repeats.

use async_trait::async_trait;

use crate::config::Secrets;
use crate::http::Http;
use crate::plugin::{Message, Notifier, NotifyError, Receipt};

pub(super) struct Discreet {
    pub(super) notifier: Box<dyn Notifier>,
    pub(super) secrets: Secrets,
}

#[async_trait]
impl Notifier for Discreet {
    async fn notify(&self, http: &Http, message: &Message<'_>) -> Result<Receipt, NotifyError> {
        let hidden = |text: String| self.secrets.concealed_in_excerpt(&text).into_owned();
        match self.notifier.notify(http, message).await {
            Ok(Receipt { answer, pause }) => Ok(Receipt { answer: hidden(answer), pause }),
            Err(NotifyError::Transient { why, retry_after, parts_done }) => {
                Err(NotifyError::Transient { why: hidden(why), retry_after, parts_done })
            }
            Err(NotifyError::Refused { why }) => Err(NotifyError::Refused { why: hidden(why) }),
        }
    }

    fn wants_picture(&self) -> bool {
        self.notifier.wants_picture()
    }
}
