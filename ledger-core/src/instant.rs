//! Instants in whole microseconds: what every database this is stored in can hold.

use chrono::{DateTime, Utc};

/// The instant without what is below a microsecond; a leap second becomes the second after it.
pub(crate) fn whole_micros(at: DateTime<Utc>) -> DateTime<Utc> {
    // Only a leap second at the very end of chrono's range has no such instant.
    DateTime::from_timestamp_micros(at.timestamp_micros()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// Serde for an instant: RFC 3339 text, and on the way in an error for digits below a
/// microsecond. The chain hashes microseconds; more digits would be an edit it cannot see.
pub(crate) mod micros {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub(crate) fn serialize<S: Serializer>(at: &DateTime<Utc>, to: S) -> Result<S::Ok, S::Error> {
        at.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<DateTime<Utc>, D::Error> {
        let at = DateTime::deserialize(from)?;
        if super::whole_micros(at) == at {
            Ok(at)
        } else {
            Err(D::Error::custom(format_args!(
                "{at} is not in whole microseconds"
            )))
        }
    }
}

/// The same for an instant that may be absent.
pub(crate) mod micros_option {
    use chrono::{DateTime, Utc};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        at: &Option<DateTime<Utc>>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        at.serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<DateTime<Utc>>, D::Error> {
        #[derive(Deserialize)]
        struct Whole(#[serde(with = "super::micros")] DateTime<Utc>);
        Ok(Option::<Whole>::deserialize(from)?.map(|whole| whole.0))
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::whole_micros;

    #[test]
    fn truncation_goes_back_in_time_on_both_sides_of_1970() {
        for (given, kept) in [
            (
                "2026-03-01T10:00:00.123456789Z",
                "2026-03-01T10:00:00.123456Z",
            ),
            (
                "1969-12-31T23:59:59.999999999Z",
                "1969-12-31T23:59:59.999999Z",
            ),
            ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"),
        ] {
            let given: DateTime<Utc> = given.parse().unwrap();
            assert_eq!(whole_micros(given), kept.parse::<DateTime<Utc>>().unwrap());
        }
    }

    #[test]
    fn the_ends_of_time_are_instants_too() {
        for at in [DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC] {
            let cut = whole_micros(at);
            assert_eq!(whole_micros(cut), cut);
            assert!(cut <= at);
        }
    }
}
