//! What an intent saves: the clinic's service beside an eager design, on real databases.
//!
//! | what | where |
//! |---|---|
//! | the service as a practice uses it | [`practice`] |
//! | the design it is compared with | [`eager`] |
//! | databases, and what is read off them | [`database`] |
//! | what one command writes | [`amplification`] |
//! | how long a booking takes | [`latency`] |
//! | what the life after it writes | [`year`] |
//! | all of it as a report with charts | [`report`] |
//!
//! The benches and `report` print what these measure. How each figure is defined is said where it is
//! measured.

pub mod amplification;
pub mod database;
pub mod eager;
pub mod latency;
pub mod practice;
pub mod report;
pub mod year;

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar on the terminal for what takes long; nothing where there is no terminal.
pub struct Progress(ProgressBar);

impl Progress {
    /// Of what is named.
    #[must_use]
    pub fn new(of: &str) -> Self {
        let bar = ProgressBar::no_length();
        bar.set_prefix(of.to_owned());
        let template = "{prefix} {wide_bar} {pos}/{len} {msg} ({elapsed}, {eta} left)";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// A stretch of so many steps begins.
    pub fn begin(&self, what: &str, steps: usize) {
        self.0.reset();
        self.0.set_length(u64::try_from(steps).unwrap_or(u64::MAX));
        self.0.set_message(what.to_owned());
    }

    /// A step is done.
    pub fn step(&self) {
        self.0.inc(1);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A quotient with decimals, without floating point.
#[must_use]
pub fn decimal(value: u64, by: u64, digits: u32) -> String {
    let scale = 10_u128.pow(digits);
    let by = u128::from(by.max(1));
    let scaled = (u128::from(value) * scale + by / 2) / by;
    if digits == 0 {
        return scaled.to_string();
    }
    let (whole, rest) = (scaled / scale, scaled % scale);
    format!(
        "{whole}.{rest:0width$}",
        width = usize::try_from(digits).unwrap_or(0)
    )
}

/// By how many percent one is fewer than the other, with two decimals.
#[must_use]
pub fn fewer(ours: u64, theirs: u64) -> String {
    let saved = theirs.saturating_sub(ours);
    decimal(saved.saturating_mul(100), theirs, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_are_rounded_and_percents_are_of_the_other() {
        assert_eq!(decimal(1, 3, 2), "0.33");
        assert_eq!(decimal(2, 3, 0), "1");
        assert_eq!(decimal(5, 0, 1), "5.0");
        assert_eq!(fewer(1, 26), "96.15");
        assert_eq!(fewer(27, 26), "0.00");
    }
}
