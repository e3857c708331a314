/// What a decision came to: something to do, or nothing because it has been done already.
///
/// Asking twice is normal (a retry, an impatient click), so the second answer is a value and not
/// an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Idempotent<T> {
    /// The command changes something; here is what.
    Applied(T),
    /// The state is already what the command asks for. Store nothing.
    AlreadyApplied,
}
