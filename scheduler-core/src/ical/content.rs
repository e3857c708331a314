//! Content lines and the components they make (RFC 5545 §3.1, §3.4).
//!
//! The `icalendar` crate reads what a line consists of: parameters, quotes, escapes. Lines are put
//! together here, because a fold may cut a UTF-8 character and a problem must name the line of the
//! text. Components are put together here, because nesting has a limit, and because one broken
//! component must not cost the others. Only properties that say when something takes place are kept.

use std::borrow::Cow;
use std::collections::BTreeMap;

use icalendar::parser::Property as Parsed;

use super::problem::{Done, IcalError, Problem, Problems, Reason};
use super::{BYTES_MAX, DEPTH_MAX, LINES_MAX};

/// The properties that are read, in upper case.
const KEPT: [&str; 20] = [
    "DTEND",
    "DTSTAMP",
    "DTSTART",
    "DURATION",
    "EXDATE",
    "EXRULE",
    "LAST-MODIFIED",
    "METHOD",
    "RDATE",
    "RECURRENCE-ID",
    "RRULE",
    "SEQUENCE",
    "STATUS",
    "SUMMARY",
    "TZID",
    "TZOFFSETFROM",
    "TZOFFSETTO",
    "UID",
    "X-LIC-LOCATION",
    "X-WR-TIMEZONE",
];

/// The components that a VCALENDAR consists of.
const WHOLE: [&str; 5] = ["VEVENT", "VFREEBUSY", "VJOURNAL", "VTIMEZONE", "VTODO"];

/// One property that is read.
#[derive(Debug)]
pub(super) struct Property {
    /// Where it begins in the text, from 1.
    pub(super) line: usize,
    pub(super) name: &'static str,
    /// TZID, without quotes and escapes.
    pub(super) tzid: Option<Box<str>>,
    /// VALUE, as it is written.
    pub(super) kind: Option<Box<str>>,
    /// RANGE, as it is written.
    pub(super) range: Option<Box<str>>,
    pub(super) value: Box<str>,
}

/// What lies between a BEGIN and its END.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) properties: Vec<Property>,
    pub(super) components: Vec<Component>,
    /// The names of its properties that could not be read.
    pub(super) unreadable: Vec<&'static str>,
    /// Its END is missing, so something of it may be too.
    pub(super) is_broken: bool,
}

impl Property {
    /// Whether VALUE is this, in whatever case.
    pub(super) fn is_of(&self, kind: &str) -> bool {
        let given = self.kind.as_deref();
        given.is_some_and(|given| given.eq_ignore_ascii_case(kind))
    }

    /// TZID, unless it is empty.
    pub(super) fn zone_name(&self) -> Option<&str> {
        self.tzid.as_deref().filter(|tzid| !tzid.is_empty())
    }
}

impl Component {
    fn new(line: usize, name: String) -> Self {
        Self {
            line,
            name,
            properties: Vec::new(),
            components: Vec::new(),
            unreadable: Vec::new(),
            is_broken: false,
        }
    }

    /// Whether it says the same as another, wherever it does.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let said = |property: &Property| (property.name, property.value.clone());
        self.name == other.name
            && self
                .properties
                .iter()
                .map(said)
                .eq(other.properties.iter().map(said))
            && self.components.len() == other.components.len()
            && self
                .components
                .iter()
                .zip(&other.components)
                .all(|(one, other)| one.is_like(other))
    }

    /// A VCALENDAR around components that lie in none.
    pub(super) fn around(components: Vec<Self>) -> Self {
        Self {
            components,
            ..Self::new(0, "VCALENDAR".to_owned())
        }
    }

    /// All properties of a name.
    pub(super) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Property> {
        self.properties
            .iter()
            .filter(move |given| given.name == name)
    }

    /// The first property of a name.
    pub(super) fn first(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|given| given.name == name)
    }

    /// The value of the first property of a name.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        self.first(name).map(|property| &*property.value)
    }
}

/// The components of a text, outermost first.
///
/// # Errors
/// [`IcalError`] if the text reaches a limit.
pub(super) fn read(bytes: &[u8], problems: &mut Problems) -> Result<Vec<Component>, IcalError> {
    if bytes.len() > BYTES_MAX {
        return Err(IcalError::TooLong { bytes: bytes.len() });
    }
    let bytes = decoded(bytes);
    let mut outermost = Vec::new();
    let mut open: Vec<Component> = Vec::new();
    // How many components are open beyond those that are read.
    let mut beyond = 0_usize;
    for (count, (line, text)) in Lines::new(&bytes).enumerate() {
        if count >= LINES_MAX {
            return Err(IcalError::TooManyLines { line });
        }
        let text = utf8(line, text, problems);
        let named = text.split_once(':');
        let named = named.map(|(name, value)| (name.trim(), value.trim()));
        match named {
            Some((name, value)) if name.eq_ignore_ascii_case("BEGIN") => {
                let name = value.to_ascii_uppercase();
                // None of these lies in another: what is open lacks its END.
                let depth = match name.as_str() {
                    _ if beyond > 0 => None,
                    "VCALENDAR" => Some(0),
                    name if WHOLE.contains(&name) => open
                        .iter()
                        .position(|open| WHOLE.contains(&open.name.as_str())),
                    _ => None,
                };
                if let Some(depth) = depth {
                    close_broken(depth, &mut open, &mut outermost, problems);
                }
                if open.len() < DEPTH_MAX && beyond == 0 {
                    open.push(Component::new(line, name));
                } else {
                    if beyond == 0 {
                        problems.push(|| {
                            Problem::of_line(line, "BEGIN", &name, Reason::TooDeep, Done::LeftOut)
                        });
                    }
                    beyond += 1;
                }
            }
            Some((name, value)) if name.eq_ignore_ascii_case("END") => {
                if beyond > 0 {
                    beyond -= 1;
                } else {
                    close(&mut open, &mut outermost, line, value, problems);
                }
            }
            _ if beyond > 0 => {}
            _ => keep(open.last_mut(), line, &text, problems),
        }
    }
    close_broken(0, &mut open, &mut outermost, problems);
    Ok(outermost)
}

/// Closes the innermost component of a name, and those within it whose END is missing. Ignores an END
/// of a component that is not open.
fn close(
    open: &mut Vec<Component>,
    outermost: &mut Vec<Component>,
    line: usize,
    name: &str,
    problems: &mut Problems,
) {
    let named = |component: &Component| component.name.eq_ignore_ascii_case(name);
    let Some(depth) = open.iter().rposition(named) else {
        problems.push(|| Problem::of_line(line, "END", name, Reason::NothingOpen, Done::LeftOut));
        return;
    };
    close_broken(depth + 1, open, outermost, problems);
    if let Some(closed) = open.pop() {
        within(open, outermost).push(closed);
    }
}

/// Closes components without an END until so many are open.
fn close_broken(
    depth: usize,
    open: &mut Vec<Component>,
    outermost: &mut Vec<Component>,
    problems: &mut Problems,
) {
    while open.len() > depth {
        let Some(mut unclosed) = open.pop() else {
            return;
        };
        unclosed.is_broken = true;
        report_unclosed(&unclosed, problems);
        within(open, outermost).push(unclosed);
    }
}

/// Where a component belongs that is closed.
fn within<'a>(
    open: &'a mut [Component],
    outermost: &'a mut Vec<Component>,
) -> &'a mut Vec<Component> {
    match open.last_mut() {
        Some(outer) => &mut outer.components,
        None => outermost,
    }
}

fn report_unclosed(component: &Component, problems: &mut Problems) {
    let (line, name) = (component.line, &component.name);
    let done = if name == "VCALENDAR" {
        Done::Honoured
    } else {
        Done::LeftOut
    };
    problems.push(|| Problem::of_line(line, "BEGIN", name, Reason::Unclosed, done));
}

/// Keeps a line as a property of the component that is open, if it is one that is read.
fn keep(component: Option<&mut Component>, line: usize, text: &str, problems: &mut Problems) {
    let name = text.split([':', ';']).next().unwrap_or_default().trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let is_line = !name.is_empty() && name.chars().all(is_name) && text.contains(':');
    let known = KEPT.iter().find(|known| known.eq_ignore_ascii_case(name));
    match (component, known) {
        (Some(component), Some(&known)) => match property(line, known, text) {
            Some(property) if is_line => return component.properties.push(property),
            _ => component.unreadable.push(known),
        },
        (Some(_), None) if is_line => return,
        _ => {}
    }
    problems.push(|| Problem::of_line(line, "line", text, Reason::NotAContentLine, Done::LeftOut));
}

fn utf8<'a>(line: usize, text: Cow<'a, [u8]>, problems: &mut Problems) -> Cow<'a, str> {
    let lossy = |bytes: &[u8], problems: &mut Problems| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        problems.push(|| Problem::of_line(line, "line", &text, Reason::NotUtf8, Done::Honoured));
        text
    };
    match text {
        Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => Cow::Owned(lossy(bytes, problems)),
        },
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => lossy(error.as_bytes(), problems),
        }),
    }
}

/// The text as UTF-8, without byte order marks. UTF-16 is known by its mark, or by the B of BEGIN.
fn decoded(bytes: &[u8]) -> Cow<'_, [u8]> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let (pairs, _) = bytes.as_chunks::<2>();
        let text = char::decode_utf16(pairs.iter().map(|pair| unit(*pair)));
        let text: String = text
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        text.trim_start_matches('\u{feff}').to_owned().into_bytes()
    };
    match bytes {
        [0xff, 0xfe, text @ ..] | text @ [b'B', 0, ..] => {
            Cow::Owned(units(text, u16::from_le_bytes))
        }
        [0xfe, 0xff, text @ ..] | text @ [0, b'B', ..] => {
            Cow::Owned(units(text, u16::from_be_bytes))
        }
        mut bytes => {
            while let Some(rest) = bytes.strip_prefix("\u{feff}".as_bytes()) {
                bytes = rest;
            }
            Cow::Borrowed(bytes)
        }
    }
}

/// The lines that are not empty, folded ones put together, each with its number in the text. A line
/// ends with any run of CR and LF: of CR alone on old systems, of CR CR LF behind some mailers.
struct Lines<'a> {
    rest: &'a [u8],
    number: usize,
    /// What a line is counted by: LF, or CR in a text without any.
    counted: u8,
}

impl<'a> Lines<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            number: 1,
            counted: if bytes.contains(&b'\n') { b'\n' } else { b'\r' },
        }
    }

    /// The next physical line, which may be empty, and its number.
    fn physical(&mut self) -> Option<(usize, &'a [u8])> {
        if self.rest.is_empty() {
            return None;
        }
        let number = self.number;
        let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
        let length = self.rest.iter().position(is_end).unwrap_or(self.rest.len());
        let (line, rest) = self.rest.split_at(length);
        let ends = rest
            .iter()
            .position(|byte| !is_end(byte))
            .unwrap_or(rest.len());
        let (end, rest) = rest.split_at(ends);
        self.number += end.iter().filter(|byte| **byte == self.counted).count();
        self.rest = rest;
        Some((number, line))
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (usize, Cow<'a, [u8]>);

    fn next(&mut self) -> Option<Self::Item> {
        let (number, first) = loop {
            let (number, line) = self.physical()?;
            if !line.iter().all(u8::is_ascii_whitespace) {
                break (number, line);
            }
        };
        let mut line = Cow::Borrowed(first);
        while let [b' ' | b'\t', ..] = self.rest {
            let (_, folded) = self.physical()?;
            line.to_mut().extend_from_slice(&folded[1..]);
        }
        Some((number, line))
    }
}

/// One line as a property. The crate knows types by names in upper case, and takes what is behind
/// a name without a colon for nothing.
fn property(line: usize, name: &'static str, text: &str) -> Option<Property> {
    let rest = text.trim_start().get(name.len()..)?.trim_start();
    let rest = quoted_zone(rest);
    let text = format!("{name}{rest}");
    let parsed = Parsed::try_from(text.as_str()).ok()?;
    // It has read a name and nothing else where it did not understand the parameters.
    if parsed.params.is_empty() && rest.starts_with(';') {
        return None;
    }
    let parameter = |wanted: &str| {
        let found = parsed
            .params
            .iter()
            .find(|parameter| parameter.key.as_str().trim().eq_ignore_ascii_case(wanted))?;
        Some(found.val.as_ref().map_or("", |value| value.as_str()))
    };
    Some(Property {
        line,
        name,
        tzid: parameter("TZID").map(|tzid| plain_name(tzid).into()),
        kind: parameter("VALUE").map(Into::into),
        range: parameter("RANGE").map(Into::into),
        value: parsed.val.as_str().into(),
    })
}

/// The parameters and value of a line, with quotes around a TZID that has colons or commas and no quotes, as
/// in `;TZID=(UTC+01:00) Berlin:20260601T100000`: behind the last colon there is a time.
fn quoted_zone(rest: &str) -> Cow<'_, str> {
    const TZID: &[u8] = b";TZID=";
    let quoted = || {
        let bytes = rest.as_bytes();
        let at = bytes
            .windows(TZID.len())
            .position(|part| part.eq_ignore_ascii_case(TZID))?;
        let (before, rest) = rest.split_at_checked(at + TZID.len())?;
        let (name, value) = rest.rsplit_once(':')?;
        let is_plain = !name.contains(['"', ';']) && name.contains([':', ',']);
        let is_time = value.trim_start().starts_with(|c: char| c.is_ascii_digit());
        (is_plain && is_time).then(|| format!("{before}\"{name}\":{value}"))
    };
    quoted().map_or(Cow::Borrowed(rest), Cow::Owned)
}

/// A zone's name without blanks and quotes around it, and without the escapes of TEXT, which some
/// write in parameters too.
pub(super) fn plain_name(name: &str) -> String {
    let name = name.trim().trim_matches('"').trim();
    let mut plain = String::with_capacity(name.len());
    let mut chars = name.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(',' | ';' | '\\')) => plain.extend(chars.next()),
            _ => plain.push(c),
        }
    }
    plain
}
/// The components that are not read: where the first of each name is, and how many there are.
#[derive(Default)]
pub(super) struct Unread(BTreeMap<String, (usize, usize)>);

impl Unread {
    pub(super) fn note(&mut self, component: &Component) {
        let first = (component.line, 0);
        self.0.entry(component.name.clone()).or_insert(first).1 += 1;
    }

    pub(super) fn report(self, problems: &mut Problems) {
        for (name, (line, count)) in self.0 {
            let reason = Reason::Component { count };
            problems.push(|| Problem::of_line(line, "BEGIN", &name, reason, Done::LeftOut));
        }
    }
}
