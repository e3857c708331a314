//! What must not compile. Each example that fails has a twin that differs in one word and compiles,
//! so that none fails for another reason.

macro_rules! refused {
    ($($name:ident: $bound:literal),* $(,)?) => {$(
        #[doc = "A type that has it:\n```"]
        #[doc = concat!("fn it<T: ", $bound, ">() {} it::<String>();")]
        #[doc = "```"]
        #[doc = "Secrets that have not:"]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::KeyBytes>();\n```")]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::Dek>();\n```")]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::Kek>();\n```")]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::IndexKey>();\n```")]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::MacKey>();\n```")]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::Plaintext>();\n```")]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::Keyring<crypto_core::Dek>>();\n```")]
        #[doc = concat!("```compile_fail\nfn it<T: ", $bound, ">() {} it::<crypto_core::Keyring<crypto_core::Kek>>();\n```")]
        fn $name() {}
    )*};
}

refused! {
    debug: "std::fmt::Debug",
    display: "std::fmt::Display",
    serialize: "serde::Serialize",
    clone: "Clone",
    // What would let a secret be read by accident.
    as_ref: "AsRef<[u8]>",
    compare: "PartialEq",
}

/// The types that are refused above are there.
/// ```
/// use crypto_core::*;
/// fn it<T: Send + Sync>() {}
/// it::<(KeyBytes, Dek, Kek, IndexKey, MacKey, Plaintext, Keyring<Dek>, Keyring<Kek>)>();
/// ```
fn names() {}

/// A nonce seals once.
/// ```
/// let nonce = crypto_core::Nonce::from_random([0; 24]);
/// let used = nonce;
/// ```
/// ```compile_fail
/// let nonce = crypto_core::Nonce::from_random([0; 24]);
/// let used = nonce;
/// let again = nonce;
/// ```
fn nonce() {}

/// Nothing opens without a context.
/// ```
/// fn open(dek: &crypto_core::Dek, context: &crypto_core::Context, sealed: &[u8]) {
///     let _ = dek.open(context, crypto_core::Purpose::Note, sealed);
/// }
/// ```
/// ```compile_fail
/// fn open(dek: &crypto_core::Dek, context: &crypto_core::Context, sealed: &[u8]) {
///     let _ = dek.open(crypto_core::Purpose::Note, sealed);
/// }
/// ```
fn context() {}

/// A wrapped DEK cannot be asked for as a value.
/// ```
/// let _ = crypto_core::Purpose::Note;
/// ```
/// ```compile_fail
/// let _ = crypto_core::Purpose::WrappedDek;
/// ```
fn purpose() {}

/// A KEK seals no values.
/// ```
/// fn seal(key: &crypto_core::Dek, context: &crypto_core::Context, nonce: crypto_core::Nonce) {
///     let _ = key.seal(context, crypto_core::Purpose::Note, b"", nonce);
/// }
/// ```
/// ```compile_fail
/// fn seal(key: &crypto_core::Kek, context: &crypto_core::Context, nonce: crypto_core::Nonce) {
///     let _ = key.seal(context, crypto_core::Purpose::Note, b"", nonce);
/// }
/// ```
fn kek() {}
