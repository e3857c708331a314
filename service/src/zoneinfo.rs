//! Which zone data this process computes with: the compiled release, the system's, or a directory's.
//!
//! A directory is what `zic` makes and systems keep at `/usr/share/zoneinfo`: a TZif file (RFC 9636) for
//! each zone, in folders by area. It is read once, before the first zone is used.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use clinic::zone_data::is_newer;
use scheduler_core::zone::{AlreadyInUse, ZoneData, ZoneDataError};

/// Where systems keep their zones.
const PLACES: [&str; 5] = [
    "/usr/share/zoneinfo",
    "/usr/share/lib/zoneinfo",
    "/usr/lib/zoneinfo",
    "/etc/zoneinfo",
    "/var/db/timezone/zoneinfo",
];
/// The largest file that is read. The largest zone of a release has four thousand bytes.
pub const FILE_BYTES_MAX: u64 = 64 * 1024;
/// The most files and folders that are looked at: a system has three copies of six hundred zones.
pub const ENTRIES_MAX: usize = 8192;
/// How deep folders lie in each other. Names have three parts at most.
const DEPTH_MAX: usize = 4;
/// The longest name of a release.
const RELEASE_BYTES_MAX: usize = 32;
/// What begins a zone's file.
const MAGIC: &[u8] = b"TZif";
/// What has the form of a zone and is none, or counts leap seconds.
const NOT_ZONES: [&str; 4] = ["posix", "right", "posixrules", "localtime"];

/// Which zone data is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The release that is compiled in.
    Compiled,
    /// The system's.
    System,
    /// A directory's.
    Directory(PathBuf),
}

/// Where the zone data comes from that this process computes with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// It is compiled in.
    Compiled,
    /// It is the system's, in this directory.
    System(PathBuf),
    /// It is a directory's that was named.
    Directory(PathBuf),
}

/// Why zone data cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ZoneinfoError {
    /// The system has none.
    #[error("expected the system's zone data in one of {}, found none", PLACES.join(", "))]
    NoSystem,
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A file is too large for a zone.
    #[error("expected at most {FILE_BYTES_MAX} bytes in {}, got more", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
    },
    /// There are too many files, or folders too deep.
    #[error(
        "expected at most {ENTRIES_MAX} files in {DEPTH_MAX} levels of folders in {}, got more",
        path.display()
    )]
    TooMany {
        /// The directory.
        path: PathBuf,
    },
    /// The contents are not zone data.
    #[error("cannot use the zone data in {}", path.display())]
    Data {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ZoneDataError,
    },
    /// Zones were used before.
    #[error(transparent)]
    InUse(#[from] AlreadyInUse),
}

static SOURCE: OnceLock<Source> = OnceLock::new();

/// Has this process compute with the data that is wanted; by default with the newer of the compiled and
/// the system's release.
///
/// # Errors
/// [`ZoneinfoError`], also if zones were used before.
pub fn install(choice: Option<&Choice>) -> Result<&'static Source, ZoneinfoError> {
    let (source, data) = match choice {
        Some(Choice::Compiled) => (Source::Compiled, ZoneData::compiled()),
        Some(Choice::System) => {
            let place = system().ok_or(ZoneinfoError::NoSystem)?;
            (Source::System(place.clone()), read(&place)?)
        }
        Some(Choice::Directory(path)) => (Source::Directory(path.clone()), read(path)?),
        None => by_default(),
    };
    let supplied = data.supplied();
    data.install()?;
    let source = SOURCE.get_or_init(|| source);
    if supplied > 0 {
        tracing::info!(
            release = ZoneData::installed().release(),
            supplied,
            "names that the zone data lacks come from the compiled release"
        );
    }
    Ok(source)
}

/// Where the installed data comes from.
#[must_use]
pub fn source() -> &'static Source {
    SOURCE.get().unwrap_or(&Source::Compiled)
}

/// The newest release that is at hand without an option, and where it is.
#[must_use]
pub fn newest() -> (Source, String) {
    let compiled = ZoneData::compiled().release().to_owned();
    let system = system().and_then(|place| Some((release(&place)?, place)));
    match system {
        Some((release, place)) if is_newer(&release, &compiled) => (Source::System(place), release),
        _ => (Source::Compiled, compiled),
    }
}

/// A system whose data cannot be used is no reason not to start: the compiled release is there.
fn by_default() -> (Source, ZoneData) {
    if let (Source::System(place), _) = newest() {
        match read(&place) {
            Ok(data) => return (Source::System(place), data),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "the compiled zone data is used instead");
            }
        }
    }
    (Source::Compiled, ZoneData::compiled())
}

fn system() -> Option<PathBuf> {
    let mut places = PLACES.iter().map(PathBuf::from);
    places.find(|place| place.is_dir())
}

/// The name of a directory's release: the first line of `tzdata.zi` says it, or the file `+VERSION`.
fn release(directory: &Path) -> Option<String> {
    let first_line = |name| {
        let file = File::open(directory.join(name)).ok()?;
        let mut line = String::new();
        let read = BufReader::new(file.take(256)).read_line(&mut line);
        read.ok().map(|_| line.trim().to_owned())
    };
    let named = first_line("tzdata.zi").and_then(|line| {
        let name = line.strip_prefix("# version ")?;
        Some(name.trim().to_owned())
    });
    let named = named.or_else(|| first_line("+VERSION"));
    named.filter(|name| {
        (1..=RELEASE_BYTES_MAX).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
    })
}

/// The zone data in a directory. One that does not say its release is named after its contents.
///
/// # Errors
/// [`ZoneinfoError`], which names the file and what was expected.
pub fn read(directory: &Path) -> Result<ZoneData, ZoneinfoError> {
    let mut found = Found {
        root: directory,
        entries: 0,
        zones: BTreeMap::new(),
    };
    found.folder(directory, "", 1)?;
    let zones = found.zones;
    let data = |source| ZoneinfoError::Data {
        path: directory.to_owned(),
        source,
    };
    let name = match release(directory) {
        Some(release) => release,
        None => {
            let unnamed = ZoneData::new("local", zones.clone()).map_err(data)?;
            let fingerprint = unnamed.fingerprint().simple().to_string();
            format!("local-{}", &fingerprint[..8])
        }
    };
    ZoneData::new(&name, zones).map_err(data)
}

struct Found<'a> {
    root: &'a Path,
    entries: usize,
    zones: BTreeMap<String, Vec<u8>>,
}

impl Found<'_> {
    /// Takes the zones of a folder, which are called `prefix` and their file's name.
    fn folder(&mut self, path: &Path, prefix: &str, depth: usize) -> Result<(), ZoneinfoError> {
        let failed = |source| ZoneinfoError::Read {
            path: path.to_owned(),
            source,
        };
        for entry in std::fs::read_dir(path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            self.entries += 1;
            if self.entries > ENTRIES_MAX || depth > DEPTH_MAX {
                return Err(ZoneinfoError::TooMany {
                    path: self.root.to_owned(),
                });
            }
            let file_name = entry.file_name();
            let Some(file_name) = file_name.to_str() else {
                continue; // no zone has such a name
            };
            let is_other = prefix.is_empty() && NOT_ZONES.contains(&file_name);
            if is_other || file_name.contains('.') || file_name.starts_with('+') {
                continue;
            }
            let path = entry.path();
            let name = format!("{prefix}{file_name}");
            // Follows links.
            if path.is_dir() {
                self.folder(&path, &format!("{name}/"), depth + 1)?;
            } else if let Some(contents) = zone(&path)? {
                self.zones.insert(name, contents);
            }
        }
        Ok(())
    }
}

/// The contents of a zone's file; `None` of another file.
fn zone(path: &Path) -> Result<Option<Vec<u8>>, ZoneinfoError> {
    let failed = |source| ZoneinfoError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let mut contents = Vec::new();
    let magic = u64::try_from(MAGIC.len()).unwrap_or(u64::MAX);
    let mut start = file.by_ref().take(magic);
    start.read_to_end(&mut contents).map_err(failed)?;
    if contents != MAGIC {
        return Ok(None);
    }
    let mut rest = file.take(FILE_BYTES_MAX);
    rest.read_to_end(&mut contents).map_err(failed)?;
    if u64::try_from(contents.len()).unwrap_or(u64::MAX) > FILE_BYTES_MAX {
        let path = path.to_owned();
        return Err(ZoneinfoError::TooLarge { path });
    }
    Ok(Some(contents))
}

impl FromStr for Choice {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text {
            "compiled" => Self::Compiled,
            "system" => Self::System,
            directory => Self::Directory(directory.into()),
        })
    }
}

impl Source {
    /// Its kind, as it is counted.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Compiled => "compiled",
            Self::System(_) => "system",
            Self::Directory(_) => "directory",
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Compiled => f.write_str("compiled"),
            Self::System(path) => write!(f, "system, {}", path.display()),
            Self::Directory(path) => path.display().fmt(f),
        }
    }
}
