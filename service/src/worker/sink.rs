//! Where messages go.

use std::path::{Path, PathBuf};

use async_trait::async_trait;
use clinic::Message;
use serde_json::json;

/// Takes messages. The same message may come twice, with the same dedupe key, when a worker died
/// between sending and noting it.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Sends one message.
    ///
    /// # Errors
    /// [`SendError`]; it is tried again later.
    async fn send(&self, message: &Message) -> Result<(), SendError>;
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[error("not sent: {code}")]
pub struct SendError {
    /// What is kept with the message: a word, no personal data.
    pub code: &'static str,
    /// What went wrong, for the log.
    #[source]
    pub cause: Option<std::io::Error>,
}

impl SendError {
    /// An error without a cause.
    #[must_use]
    pub fn new(code: &'static str) -> Self {
        Self { code, cause: None }
    }
}

/// Writes a line into the log for each message: what is about to be told to whom, in ids.
#[derive(Debug, Clone, Copy, Default)]
pub struct Log;

#[async_trait]
impl Sink for Log {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let told = &message.notification;
        tracing::info!(
            kind = %told.kind,
            session = %told.session,
            recipient = %told.recipient.id(),
            moved = told.moves.len(),
            "told"
        );
        Ok(())
    }
}

/// A folder with a file for each message, named by its dedupe key: a message that comes twice is
/// still one file.
#[derive(Debug, Clone)]
pub struct Mailbox(PathBuf);

impl Mailbox {
    /// A mailbox in this folder, which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn open(folder: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        Ok(Self(folder.to_owned()))
    }
}

#[async_trait]
impl Sink for Mailbox {
    async fn send(&self, message: &Message) -> Result<(), SendError> {
        let told = &message.notification;
        let name = told.dedupe_key().replace('/', ".");
        let content = json!({
            "seq": message.seq,
            "kind": told.kind.to_string(),
            "session_id": told.session,
            "slot_version": told.slot_version,
            "recipient": { "role": told.recipient.role(), "id": told.recipient.id() },
            "due_at": told.due_at,
            "moves": told.moves,
        });
        let (to, draft) = (
            self.0.join(format!("{name}.json")),
            self.0.join(format!(".{name}.{}", message.attempts)),
        );
        let write = move || {
            let written = std::fs::write(&draft, format!("{content}\n"))
                .and_then(|()| std::fs::rename(&draft, &to));
            if written.is_err() {
                let _nothing_to_remove = std::fs::remove_file(&draft);
            }
            written
        };
        let written = tokio::task::spawn_blocking(write).await;
        match written {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(SendError {
                code: "mailbox",
                cause: Some(cause),
            }),
            Err(_panicked) => Err(SendError::new("mailbox")),
        }
    }
}
