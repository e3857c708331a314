//! Word that the service is to stop.

use tokio::sync::watch;

/// Heard by everything that runs for long.
#[derive(Debug, Clone)]
pub struct Stop(watch::Receiver<bool>);

/// Says it.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

impl Stop {
    /// Somebody to say it, and the word.
    #[must_use]
    pub fn new() -> (Stopper, Self) {
        let (say, hear) = watch::channel(false);
        (Stopper(say), Self(hear))
    }

    /// Nobody will ever say it.
    #[must_use]
    pub fn never() -> Self {
        Self::new().1
    }

    /// Whether it was said.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is said.
    pub async fn requested(&self) {
        let mut hear = self.0.clone();
        if hear.wait_for(|said| *said).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Stopper {
    /// Says it.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}
