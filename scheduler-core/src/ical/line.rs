//! Content lines, out. The `icalendar` crate escapes and quotes; its folds leave lines of 76 bytes,
//! so they are folded here.

use icalendar::Property;
use icalendar::parser::unfold;

use crate::set_text::fold;
use crate::{LocalDateTime, Zone};

/// A text of content lines.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    pub(super) fn into_text(self) -> String {
        self.0
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.0.push_str(&other.0);
    }

    /// One property, whose value is escaped if it is of type TEXT.
    pub(super) fn property(&mut self, name: &str, value: &str) {
        self.push(&Property::new(name, value));
    }

    /// A property of TEXT. What would end a line, or is no text, becomes a space.
    pub(super) fn text(&mut self, name: &str, value: &str) {
        let value = value.replace("\r\n", "\n");
        let shown = |c: char| if c.is_control() && c != '\n' { ' ' } else { c };
        let value: String = value.chars().map(shown).collect();
        self.property(name, &value);
    }

    /// Wall times of a zone, with its TZID, or with Z.
    pub(super) fn times(
        &mut self,
        name: &str,
        zone: Zone,
        times: impl IntoIterator<Item = LocalDateTime>,
    ) {
        let suffix = if zone == Zone::UTC { "Z" } else { "" };
        let times = times.into_iter().map(|at| at.to_basic() + suffix);
        let times: Vec<String> = times.collect();
        if times.is_empty() {
            return;
        }
        let mut property = Property::new(name, times.join(","));
        if zone != Zone::UTC {
            property.add_parameter("TZID", zone.name());
        }
        self.push(&property);
    }

    fn push(&mut self, property: &Property) {
        let line: Result<String, _> = property.clone().try_into();
        let line = line.expect("a String can be written to");
        fold(&mut self.0, unfold(&line).trim_end_matches(['\r', '\n']));
    }
}
