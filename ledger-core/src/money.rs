//! Money, counted in the smallest unit of its currency with checked arithmetic.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An amount of money. Unit: the currency's smallest (pence, cents; of yen, the yen itself).
///
/// Sums are checked: they fit 64 bits and are of one currency, or they are an error.
///
/// ```
/// use ledger_core::Money;
///
/// let fee = Money { minor: 6_500, currency: "GBP".parse()? };
/// let tip = Money { minor: 1, currency: "EUR".parse()? };
/// assert_eq!(fee.plus(fee)?.to_string(), "13000 GBP");
/// assert!(fee.plus(tip).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// How many of the currency's smallest units. A refund may be negative.
    pub minor: i64,
    /// Of which currency.
    pub currency: Currency,
}

/// The code of a currency: three capital letters. Source: ISO 4217.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Currency([u8; 3]);

impl Money {
    /// The sum.
    ///
    /// # Errors
    /// [`BadSum`] if the currencies differ or it does not fit 64 bits.
    pub fn plus(self, other: Money) -> Result<Money, BadSum> {
        self.with(other, '+', self.minor.checked_add(other.minor))
    }

    /// The difference.
    ///
    /// # Errors
    /// [`BadSum`] if the currencies differ or it does not fit 64 bits.
    pub fn minus(self, other: Money) -> Result<Money, BadSum> {
        self.with(other, '-', self.minor.checked_sub(other.minor))
    }

    fn with(self, right: Money, sign: char, minor: Option<i64>) -> Result<Money, BadSum> {
        let left = self;
        let bad = BadSum { left, sign, right };
        if left.currency == right.currency {
            let currency = left.currency;
            minor.map(|minor| Money { minor, currency }).ok_or(bad)
        } else {
            Err(bad)
        }
    }
}

/// The codes of currencies that people pay with. Source: ISO 4217, list one, without funds, metals and
/// codes for tests.
const ACTIVE: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB \
    BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK \
    DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL \
    HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD \
    KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR \
    MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG \
    QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC \
    SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND \
    VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

impl Currency {
    /// Whether people pay with it: three capital letters may be no currency's, or one's that is gone.
    ///
    /// ```
    /// # use ledger_core::Currency;
    /// assert!("GBP".parse::<Currency>()?.is_active());
    /// assert!(!"XXZ".parse::<Currency>()?.is_active());
    /// # Ok::<(), ledger_core::BadCurrency>(())
    /// ```
    #[must_use]
    pub fn is_active(self) -> bool {
        ACTIVE.split(' ').any(|code| code.as_bytes() == self.0)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.minor, self.currency)
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|&b| write!(f, "{}", char::from(b)))
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Currency({self})")
    }
}

impl FromStr for Currency {
    type Err = BadCurrency;

    fn from_str(text: &str) -> Result<Currency, BadCurrency> {
        let code = <[u8; 3]>::try_from(text.as_bytes()).ok();
        let code = code.filter(|code| code.iter().all(u8::is_ascii_uppercase));
        let text = || text.to_owned();
        code.map(Currency)
            .ok_or_else(|| BadCurrency { text: text() })
    }
}

impl TryFrom<String> for Currency {
    type Error = BadCurrency;

    fn try_from(text: String) -> Result<Currency, BadCurrency> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> String {
        currency.to_string()
    }
}

/// A sum of money that there is not: of two currencies, or too large for 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{left} {sign} {right} is no amount of one currency in 64 bits")]
pub struct BadSum {
    left: Money,
    sign: char,
    right: Money,
}

/// A text that is no currency's code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not three capital letters")]
pub struct BadCurrency {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(minor: i64, currency: &str) -> Money {
        let currency = currency.parse().unwrap();
        Money { minor, currency }
    }

    #[test]
    fn sums_are_of_one_currency_and_fit() {
        assert_eq!(money(5, "EUR").plus(money(-7, "EUR")), Ok(money(-2, "EUR")));
        assert_eq!(money(5, "EUR").minus(money(7, "EUR")), Ok(money(-2, "EUR")));
        let mixed = money(5, "EUR").plus(money(7, "GBP")).unwrap_err();
        let expected = "5 EUR + 7 GBP is no amount of one currency in 64 bits";
        assert_eq!(mixed.to_string(), expected);
        assert!(money(i64::MAX, "EUR").plus(money(1, "EUR")).is_err());
        assert!(money(i64::MIN, "EUR").minus(money(1, "EUR")).is_err());
    }

    #[test]
    fn a_currency_has_one_spelling() {
        for text in ["", "gbp", "GB", "GBPP", "GB ", "G€"] {
            assert!(text.parse::<Currency>().is_err(), "{text:?}");
        }
        let stored = r#"{"minor":6500,"currency":"GBP"}"#;
        let read: Money = serde_json::from_str(stored).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), stored);
        assert!(serde_json::from_str::<Money>(r#"{"minor":0.5,"currency":"GBP"}"#).is_err());
    }
}
