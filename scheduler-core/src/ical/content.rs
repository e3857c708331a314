//! Content lines and the components they make (RFC 5545 §3.1, §3.4).
//!
//! What a line consists of (parameters, quotes, escapes) is the `icalendar` crate's to say. Lines
//! are put together here, because a fold may cut a UTF-8 character and a problem must name the line
//! of the text; components too, because nesting has a limit and a bad line costs only itself.

use icalendar::parser::Property as Parsed;

use super::problem::{Done, IcalError, Problem, Reason};
use super::{BYTES_MAX, DEPTH_MAX, LINES_MAX};

/// The most characters of a bad line that a problem repeats.
const REPEATED_MAX: usize = 80;

/// One property, its names in upper case.
#[derive(Debug)]
pub(super) struct Property {
    /// Where it begins in the text, from 1.
    pub(super) line: usize,
    pub(super) name: String,
    parameters: Vec<(String, String)>,
    pub(super) value: String,
}

/// What lies between a BEGIN and its END.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) line: usize,
    pub(super) name: String,
    pub(super) properties: Vec<Property>,
    pub(super) components: Vec<Component>,
}

impl Property {
    /// A parameter by its name in upper case.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a parameter has a value, in whatever case.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.parameter(name)
            .is_some_and(|given| given.eq_ignore_ascii_case(value))
    }
}

impl Component {
    /// All properties of a name in upper case.
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
        self.first(name).map(|property| property.value.as_str())
    }
}

/// The components of a text, outermost first.
///
/// # Errors
/// [`IcalError`] if the text has no structure.
pub(super) fn read(bytes: &[u8], problems: &mut Vec<Problem>) -> Result<Vec<Component>, IcalError> {
    if bytes.len() > BYTES_MAX {
        return Err(IcalError::TooLong { bytes: bytes.len() });
    }
    let mut outermost = Vec::new();
    let mut open: Vec<Component> = Vec::new();
    for (line, text) in unfolded(bytes)? {
        let text = String::from_utf8(text).unwrap_or_else(|error| {
            let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
            problems.push(bad_line(line, &text, Reason::NotUtf8, Done::Honoured));
            text
        });
        let named = text
            .split_once(':')
            .map(|(name, value)| (name.trim(), value.trim()));
        match named {
            Some((name, value)) if name.eq_ignore_ascii_case("BEGIN") => {
                let name = value.to_ascii_uppercase();
                if open.len() >= DEPTH_MAX {
                    return Err(IcalError::TooDeep { line, name });
                }
                open.push(Component {
                    line,
                    name,
                    properties: Vec::new(),
                    components: Vec::new(),
                });
            }
            Some((name, value)) if name.eq_ignore_ascii_case("END") => {
                let found = value.to_ascii_uppercase();
                let Some(closed) = open.pop_if(|component| component.name == found) else {
                    let expected = open.pop().map(|component| component.name);
                    return Err(IcalError::WrongEnd {
                        line,
                        found,
                        expected: expected.unwrap_or_default(),
                    });
                };
                let within = open.last_mut().map(|outer| &mut outer.components);
                within.unwrap_or(&mut outermost).push(closed);
            }
            _ => match (property(line, &text), open.last_mut()) {
                (Some(property), Some(component)) => component.properties.push(property),
                _ => problems.push(bad_line(
                    line,
                    &text,
                    Reason::NotAContentLine,
                    Done::LeftOut,
                )),
            },
        }
    }
    match open.pop() {
        Some(Component { line, name, .. }) => Err(IcalError::Unclosed { line, name }),
        None => Ok(outermost),
    }
}

fn bad_line(line: usize, text: &str, reason: Reason, done: Done) -> Problem {
    Problem {
        uid: None,
        line,
        property: "line".to_owned(),
        value: text.chars().take(REPEATED_MAX).collect(),
        reason,
        done,
    }
}

/// The lines that are not empty, folded ones put together, each with its number in the text.
fn unfolded(bytes: &[u8]) -> Result<Vec<(usize, Vec<u8>)>, IcalError> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let mut lines: Vec<(usize, Vec<u8>)> = Vec::new();
    for (index, raw) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        if let ([b' ' | b'\t', rest @ ..], Some((_, line))) = (raw, lines.last_mut()) {
            line.extend_from_slice(rest);
        } else if !raw.iter().all(u8::is_ascii_whitespace) {
            if lines.len() >= LINES_MAX {
                return Err(IcalError::TooManyLines { line: index + 1 });
            }
            lines.push((index + 1, raw.to_vec()));
        }
    }
    Ok(lines)
}

/// One line as a property. The crate knows types by names in upper case, and takes what is behind
/// a name without a colon for nothing.
fn property(line: usize, text: &str) -> Option<Property> {
    let name = text.split([':', ';']).next()?.trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    if name.is_empty() || !name.chars().all(is_name) || !text.contains(':') {
        return None;
    }
    let name = name.to_ascii_uppercase();
    let rest = text.trim_start().get(name.len()..)?.trim_start();
    let text = format!("{name}{rest}");
    let parsed = Parsed::try_from(text.as_str()).ok()?;
    // It has read a name and nothing else where it did not understand the parameters.
    let understood = !parsed.params.is_empty() || !rest.starts_with(';');
    let parameters = parsed.params.iter().map(|parameter| {
        let value = parameter
            .val
            .as_ref()
            .map(|value| value.as_str().to_owned());
        let key = parameter.key.as_str().to_ascii_uppercase();
        (key, value.unwrap_or_default())
    });
    understood.then(|| Property {
        line,
        name,
        parameters: parameters.collect(),
        value: parsed.val.as_str().to_owned(),
    })
}
