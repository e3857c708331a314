//! What every store promises, as plain functions that each takes an empty store and fails if the
//! promise is broken. [`contract_suite!`](crate::contract_suite) makes a test of each.
//!
//! The suite knows nothing of SQL and nothing of the clinic's rules: it commits rows as they stand
//! and looks at what is there afterwards.

mod acts;
mod believed;
mod claims;
mod conflicts;
mod faults;
mod fixture;
mod journal;
mod keys;
mod ledger;
mod messages;
mod quotas;
mod reads;
mod reasons;
mod series;
mod writes;
mod zone_data;

pub use acts::Running;
pub use believed::*;
pub use claims::*;
pub use conflicts::*;
pub use faults::*;
pub use fixture::Fixture;
pub use journal::*;
pub use keys::*;
pub use ledger::*;
pub use messages::*;
pub use quotas::*;
pub use reads::*;
pub use reasons::*;
pub use series::*;
pub use writes::*;
pub use zone_data::*;

/// A test for each promise that can be asked of any store; those on SQL keep
/// [`append_only_tables_refuse_changes`] too. `$store` makes an empty store: an async expression whose value is the
/// store and whatever has to live as long as it.
#[macro_export]
macro_rules! contract_suite {
    ($store:expr) => {
        $crate::contract_suite! { @each $store;
            of_two_writes_on_one_version_one_is_refused
            what_is_refused_fails_or_is_dry_leaves_nothing
            a_retry_under_its_key_is_done_once
            one_key_at_once_is_done_once
            live_sessions_do_not_overlap
            an_occurrence_has_one_session
            entries_have_one_place_and_one_key
            the_same_is_told_once
            everything_comes_back_as_it_went
            pages_are_stable_while_others_write
            lists_hold_what_they_are_asked_for
            a_clinic_sees_its_own
            tokens_stand_for_principals
            the_first_fingerprint_is_kept
            the_newest_keys_come_first
            the_meter_counts_every_row
            scopes_show_what_decisions_need
            a_due_row_is_claimed_once_however_many_claim
            a_row_that_fails_is_passed_over_and_stays_due
            each_job_claims_its_own_in_order
            a_lease_that_ran_out_cannot_settle
            no_message_overtakes_another
            a_writer_leases_what_it_tells
            writers_of_one_account_end_where_the_core_does
            a_thousand_retries_are_one_entry
            a_receipt_buys_once_whoever_shows_it
            accounts_are_due_when_credits_expire
            an_account_that_is_not_its_entries_is_not_decided_on
            a_long_account_is_folded_now_and_then
            a_migrated_store_lacks_no_guard
            the_journal_is_read_as_it_was_written
            a_key_stays_while_something_is_sealed_under_it
            a_zone_in_the_clear_goes_once_the_client_is_sealed_again
            a_key_is_wrapped_again_where_it_is_what_it_was
            who_is_erased_keeps_a_row_and_nothing_in_it
            a_person_is_found_by_their_indexes_and_nobody_else_has_them
            the_journal_tells_what_became_of_people
            an_erasure_sees_what_goes_on_and_ends_it
            a_series_is_kept_with_its_history
            what_a_pause_keeps_is_in_the_way
            working_times_come_back_as_they_went
            a_feed_is_found_by_its_last_secret_only
            generations_of_zone_data_follow_one_another
            only_the_last_zone_data_plans
            what_zone_data_moves_is_kept
            reasons_are_kept_and_shown_to_whoever_is_given_one
            a_code_is_added_once_however_many_add_it
            quotas_are_kept_and_shown_to_whoever_books
            conflicts_are_kept_once_and_listed_until_settled
            a_calendar_leaves_out_what_is_over
        }
    };
    (@each $store:expr; $($name:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let (store, _kept) = $store.await;
                $crate::contract::$name(store).await;
            }
        )*
    };
}
