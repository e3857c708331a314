use super::model::{End, Frequency, Rule, Skip};

const HOURS: u64 = 24;
const MINUTES: u64 = 60 * HOURS;
const SECONDS: u64 = 60 * MINUTES;

impl Rule {
    /// At most so many of its occurrences fall on any seven dates in a row.
    ///
    /// It is read off the rule's parts, so it takes no longer for `FREQ=SECONDLY` than for a week of
    /// Mondays: a rule is refused for its density before anything is expanded. Mostly it is exact. Where
    /// parts filter each other, as in `FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13`, there may be fewer.
    ///
    /// ```
    /// use scheduler_core::Rule;
    ///
    /// let most = |rule: &str| rule.parse::<Rule>().map(|rule| rule.densest_week());
    /// assert_eq!(most("FREQ=WEEKLY;BYDAY=MO,TH")?, 2);
    /// assert_eq!(most("FREQ=DAILY;BYHOUR=9,17")?, 14);
    /// assert_eq!(most("FREQ=SECONDLY")?, 604_800);
    /// # Ok::<(), scheduler_core::rule::RuleError>(())
    /// ```
    #[must_use]
    pub fn densest_week(&self) -> u64 {
        let by_date = self.dates_a_week().saturating_mul(self.most_a_date());
        let by_interval = self
            .intervals_a_week()
            .saturating_mul(self.most_an_interval());
        let most = by_date.min(by_interval);
        match self.end {
            End::Count(count) => most.min(count.into()),
            End::Never | End::Until(_) => most,
        }
    }

    /// On how many of seven dates in a row it can occur.
    fn dates_a_week(&self) -> u64 {
        let weekdays = (0..7).filter(|day| {
            let mut listed = self.by_day.iter();
            listed.any(|one| one.weekday.num_days_from_monday() == *day)
        });
        let mut most = match self.frequency {
            Frequency::Daily => self.intervals_a_week(),
            _ => 7,
        };
        let lists = [self.by_month_day.len(), self.by_year_day.len()];
        // Each day of a month or year comes once in four weeks at most, wherever SKIP puts it.
        for days in lists.into_iter().filter(|days| *days > 0) {
            most = most.min(length(days));
        }
        let is_skipped = !matches!(self.skip, None | Some(Skip::Omit));
        if self.by_day.is_empty() {
            // The date is the start's own.
            if lists == [0, 0] && self.frequency >= Frequency::Weekly {
                most = 1;
            }
        } else if !is_skipped || lists == [0, 0] {
            most = most.min(length(weekdays.count()));
        }
        most
    }

    /// How often it can occur on one date.
    fn most_a_date(&self) -> u64 {
        let interval = u64::from(self.interval);
        let hours = or(&self.by_hour, HOURS);
        let minutes = hours * or(&self.by_minute, 60);
        match self.frequency {
            Frequency::Secondly => {
                let seconds = minutes * or(&self.by_second, 60);
                seconds.min(SECONDS.div_ceil(interval))
            }
            Frequency::Minutely => {
                minutes.min(MINUTES.div_ceil(interval)) * self.most_an_interval()
            }
            Frequency::Hourly => hours.min(HOURS.div_ceil(interval)) * self.most_an_interval(),
            _ => self.most_positions(self.times_a_date()),
        }
    }

    /// How many intervals, of those that the rule does not leave out, seven dates in a row touch.
    fn intervals_a_week(&self) -> u64 {
        let interval = u64::from(self.interval);
        match self.frequency {
            Frequency::Secondly => (7 * SECONDS).div_ceil(interval),
            Frequency::Minutely => (7 * MINUTES).div_ceil(interval),
            Frequency::Hourly => (7 * HOURS).div_ceil(interval),
            Frequency::Daily => 7u64.div_ceil(interval),
            Frequency::Weekly | Frequency::Monthly | Frequency::Yearly if interval > 1 => 1,
            Frequency::Weekly | Frequency::Monthly | Frequency::Yearly => 2,
        }
    }

    /// How often it can occur in one interval.
    fn most_an_interval(&self) -> u64 {
        self.most_positions(match self.frequency {
            Frequency::Secondly => 1,
            Frequency::Minutely => or(&self.by_second, 1),
            Frequency::Hourly => or(&self.by_minute, 1) * or(&self.by_second, 1),
            Frequency::Daily => self.times_a_date(),
            Frequency::Weekly | Frequency::Monthly | Frequency::Yearly => u64::MAX,
        })
    }

    /// The times of day of a rule whose interval is a day or longer.
    fn times_a_date(&self) -> u64 {
        or(&self.by_hour, 1) * or(&self.by_minute, 1) * or(&self.by_second, 1)
    }

    /// What BYSETPOS leaves of so many.
    fn most_positions(&self, all: u64) -> u64 {
        match self.by_set_pos.len() {
            0 => all,
            positions => all.min(length(positions)),
        }
    }
}

fn length(list: usize) -> u64 {
    u64::try_from(list).unwrap_or(u64::MAX)
}

/// How many a list names, or how many there are without one.
fn or(list: &[u8], all: u64) -> u64 {
    match list.len() {
        0 => all,
        listed => length(listed),
    }
}
