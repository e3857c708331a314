//! Padding: how much of a text's length its ciphertext gives away.
//!
//! A padded plaintext is the plaintext, one byte `0x80`, and zeros up to a length that many
//! plaintexts share. Nothing is compressed: the length of compressed text tells what it says.

/// Which lengths there are.
#[derive(Clone, Copy)]
pub(crate) enum Padding {
    /// For texts of every length: Padmé, with a minimum. At most 12% longer, and only
    /// `log log` of the length is given away.
    ///
    /// Source: Nikitin et al., Reducing Metadata Leakage from Encrypted Files and Communication
    /// with PURBs, PoPETs 2019(4), algorithm 1, <https://arxiv.org/abs/1806.03160>.
    Padme,
    /// For what is short and frequent: one of few lengths, in rising order.
    Buckets(&'static [usize]),
}

impl Padding {
    /// Of messages and join payloads.
    pub(crate) const TALK: Padding = Padding::Buckets(&[256, 1 << 10, 4 << 10, 16 << 10, 64 << 10]);

    const PADME_MIN: usize = 256;
    /// A length that Padmé leaves as it is.
    const PADME_MAX: usize = 1 << 20;

    /// The length of the padded form of so many bytes; `None` if it has none.
    pub(crate) fn padded(self, bytes: usize) -> Option<usize> {
        let marked = bytes.checked_add(1)?;
        match self {
            Padding::Padme if marked > Padding::PADME_MAX => None,
            Padding::Padme => Some(padme(marked.max(Padding::PADME_MIN))),
            Padding::Buckets(lengths) => lengths.iter().copied().find(|&length| marked <= length),
        }
    }

    /// The most bytes that have a padded form.
    pub(crate) fn max_bytes(self) -> usize {
        let longest = match self {
            Padding::Padme => Padding::PADME_MAX,
            Padding::Buckets(lengths) => lengths.last().copied().unwrap_or(0),
        };
        longest.saturating_sub(1)
    }

    /// Some plaintext is padded to this length.
    pub(crate) fn has(self, padded: usize) -> bool {
        let longest = padded.checked_sub(1);
        longest.and_then(|bytes| self.padded(bytes)) == Some(padded)
    }

    /// How many bytes of a padded plaintext are the plaintext. Every plaintext has one padded form,
    /// and whatever is not that form is refused.
    ///
    /// Looks for the mark from the end and stops at it, which takes longer the shorter the text is.
    /// Who can time that has already got a tag accepted.
    pub(crate) fn unpadded(self, padded: &[u8]) -> Option<usize> {
        let mark = padded.iter().rposition(|&byte| byte != 0)?;
        let whole = padded[mark] == MARK && self.padded(mark) == Some(padded.len());
        whole.then_some(mark)
    }
}

/// What follows the plaintext.
pub(crate) const MARK: u8 = 0x80;

/// Rounds up to a length that, as a binary floating-point number, has a mantissa no longer than its
/// exponent.
fn padme(length: usize) -> usize {
    let exponent = length.max(2).ilog2();
    let kept = exponent.ilog2() + 1;
    let low = (1 << (exponent - kept)) - 1;
    (length + low) & !low
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padme_as_in_the_paper() {
        // Source: the paper's figure 3 and its overhead of at most 12%, here by its definition.
        for length in 2..100_000usize {
            let padded = padme(length);
            assert!(padded >= length);
            assert!((padded - length) * 100 <= length * 12, "{length} {padded}");
            assert_eq!(padme(padded), padded);
        }
        assert_eq!([padme(9), padme(256), padme(257)], [10, 256, 272]);
        assert_eq!(padme(1 << 20), 1 << 20);
    }

    #[test]
    fn each_length_has_one_padded_form_and_the_forms_are_few() {
        for (padding, expected) in [
            (Padding::Padme, 257),
            (Padding::TALK, 5),
            (Padding::Buckets(&[64]), 1),
        ] {
            let most = padding.max_bytes();
            let mut last = 0;
            let mut forms = 0;
            for bytes in 0..=most {
                let padded = padding.padded(bytes).unwrap();
                assert!(padded > bytes && padded >= last && padding.has(padded));
                forms += usize::from(padded != last);
                last = padded;
            }
            assert_eq!(last, most + 1);
            assert_eq!(forms, expected);
            assert_eq!(padding.padded(most + 1), None);
            assert_eq!(padding.padded(usize::MAX), None);
            assert!(!padding.has(0) && !padding.has(1) && !padding.has(last + 1));
        }
    }

    #[test]
    fn what_is_not_the_one_form_is_refused() {
        let padding = Padding::TALK;
        let mut padded = [0; 256];
        assert_eq!(padding.unpadded(&padded), None); // no mark
        padded[3] = MARK;
        assert_eq!(padding.unpadded(&padded), Some(3));
        padded[255] = 1;
        assert_eq!(padding.unpadded(&padded), None); // something after the mark
        let mut long = [0; 1024];
        long[255] = MARK;
        assert_eq!(padding.unpadded(&long), None); // would have fitted the shorter form
        long[256] = MARK;
        assert_eq!(padding.unpadded(&long), Some(256));
        assert_eq!(padding.unpadded(&[]), None);
    }
}
