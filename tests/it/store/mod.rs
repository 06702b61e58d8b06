//! The conformance suite: what [`portcullis::store::Store`] promises, asked of each store under the same names.
//!
//! A test is a function that takes a [`rig::Rig`]; it must be listed here, else the compiler calls it dead. What one
//! store alone can be asked is listed at the end, with the reason.

mod bootstrap;
mod changes;
mod concurrency;
mod events;
mod filters;
mod imports;
mod keys;
mod keyspaces;
mod large;
mod listing;
mod model;
mod request_ids;
mod revocation;
mod rig;
mod rotation;
mod schema;
mod secrets;
mod spending;
mod tenants;
mod updates;
mod usage;
mod uses;

use crate::support::backend::Backend;
use rig::Rig;

/// Makes a test of each function, for one store.
macro_rules! conformance {
    ($store:ident, $backend:expr; $($area:ident: $($name:ident)*;)*) => {
        mod $store {
            use super::*;
            $($(
                #[tokio::test(flavor = "multi_thread")]
                async fn $name() {
                    $area::$name(Rig::new($backend).await).await;
                }
            )*)*
        }
    };
}

/// Lists the tests once, for both stores.
macro_rules! for_both {
    ($($tests:tt)*) => {
        conformance!(sqlite, Backend::Sqlite; $($tests)*);
        conformance!(postgres, Backend::Postgres; $($tests)*);
    };
}

for_both! {
    bootstrap:
        a_new_store_is_not_bootstrapped
        the_page_token_key_is_this_stores_own
        the_first_root_key_is_stored_once
        one_of_eight_bootstraps_succeeds
        a_deleted_root_key_is_no_reason_for_another_first
        a_root_key_made_otherwise_is_the_first_too;
    keys:
        a_new_key_comes_back_as_given
        texts_of_any_script_survive
        the_longest_values_survive
        empty_values_stay_empty
        claims_keep_every_kind_of_json
        times_survive_to_the_microsecond
        an_id_of_no_key_finds_nothing
        a_key_needs_a_keyspace
        an_id_is_taken_once
        a_public_prefix_can_be_of_several_keys
        a_deleted_key_is_gone_with_its_secrets
        nothing_can_be_done_to_a_key_that_is_not_there
        nothing_can_be_done_to_a_key_beyond_the_callers_reach;
    changes:
        each_change_of_a_key_is_told
        what_changes_no_verdict_is_not_told
        what_was_asked_for_in_vain_is_told
        what_a_key_spends_is_not_told
        a_rule_of_a_keyspace_is_told;
    secrets:
        a_secret_is_found_with_its_key
        an_argon2id_verifier_survives
        a_public_prefix_is_matched_exactly
        a_secret_is_found_whatever_state_its_key_is_in
        wildcards_are_as_the_keyspace_says_now;
    updates:
        each_field_changes_alone
        all_fields_change_at_once
        labels_and_lists_are_replaced_not_merged
        an_expiry_can_be_taken_away
        an_update_that_changes_nothing_writes_nothing
        a_stale_revision_is_refused
        a_revoked_key_can_be_relabelled
        of_two_updates_with_one_revision_one_wins
        updates_without_a_revision_all_count;
    uses:
        a_use_is_noted
        a_use_never_moves_back
        the_latest_of_several_uses_counts
        uses_of_keys_that_are_gone_are_passed_over
        many_uses_at_once_are_noted
        uses_from_all_sides_end_at_the_latest;
    usage:
        what_is_counted_adds_up
        a_batch_counts_once
        a_batch_is_known_over_restarts_until_a_day_has_passed
        usage_of_what_is_gone_is_passed_over
        a_use_in_an_earlier_hour_moves_no_time_back
        a_deleted_key_takes_its_usage_along_but_not_its_keyspaces
        a_deleted_keyspace_takes_its_usage_along
        what_all_sides_count_adds_up
        usage_is_recorded_while_keys_and_keyspaces_go
        two_thousand_keys_fit_a_batch
        keys_are_told_by_id_and_time
        days_begin_at_midnight
        hours_count_from_the_first_and_up_to_the_last
        subjects_are_told_with_all_their_keys
        keyspaces_are_told_within_reach
        a_page_can_follow_any_place
        many_keys_that_do_nothing_are_gone_through_in_steps
        what_is_old_is_folded_into_days
        what_is_older_than_it_is_kept_is_forgotten
        many_keys_are_folded_in_steps
        folding_from_all_sides_while_more_comes_loses_nothing;
    spending:
        limits_come_back_as_given
        credits_are_set_by_updates
        credits_are_taken_and_given_back
        no_more_than_an_eighth_is_taken_beyond_need
        nobody_takes_of_what_is_not_there
        credits_are_refilled_once_when_it_is_time
        who_knows_of_no_refill_brings_none
        credits_that_are_set_anew_void_what_was_taken
        what_is_spent_stays_spent_when_the_key_changes
        a_refill_comes_once_though_the_key_changes
        all_sides_together_get_no_more_than_there_is
        spending_and_deleting_do_not_wait_for_each_other
        what_is_spent_of_a_limit_adds_up
        what_is_spent_is_found_with_the_secret
        limits_of_keys_that_are_gone_are_passed_over
        what_was_spent_comes_back_with_time
        a_clock_that_steps_back_brings_nothing_back
        what_all_sides_spend_of_limits_adds_up;
    listing:
        the_newest_come_first
        keys_of_one_microsecond_come_by_id
        pages_follow_each_other_without_gap_or_repeat
        pages_hold_while_keys_come_and_go
        a_page_can_follow_a_deleted_key
        total_counts_all_that_match
        skip_passes_over_matches
        listed_keys_are_whole
        a_page_of_keys_ends_with_its_bytes
        a_keyspace_shows_its_own_keys_only;
    large:
        lists_of_a_large_keyspace_read_few_rows;
    filters:
        subject_is_matched_exactly
        created_by_is_matched_exactly
        a_name_is_found_however_its_letters_are_composed
        a_name_is_found_in_any_case
        percent_and_underscore_are_plain_characters
        a_new_name_is_found_and_the_old_one_is_not
        every_label_must_match
        labels_are_matched_exactly
        labels_that_were_replaced_do_not_match
        active_keys_are_those_that_verify
        unused_keys_are_those_not_used_since
        all_filters_must_hold_at_once;
    rotation:
        the_key_stays_and_gets_a_new_secret
        both_secrets_are_found_during_the_overlap
        without_overlap_the_old_secret_is_gone
        a_third_secret_drives_out_the_first
        an_expired_secret_is_dropped
        a_disabled_key_can_be_rotated
        a_revoked_key_cannot_be_rotated
        an_expired_key_cannot_be_rotated
        a_taken_prefix_leaves_the_key_as_it_was
        rotations_at_once_leave_two_secrets;
    revocation:
        a_revoked_key_shows_when_and_why
        every_reason_survives
        revoke_is_for_good
        a_second_revocation_changes_nothing
        an_expired_key_can_be_revoked
        both_secrets_show_the_revocation
        of_many_revocations_one_is_kept
        revoke_racing_rotate_leaves_nothing_live
        revoke_racing_update_stays_revoked;
    events:
        each_change_writes_one_event
        a_creation_shows_the_key
        an_update_shows_what_changed
        a_rotation_shows_the_new_hint
        a_revocation_shows_the_reason
        what_is_refused_writes_no_event
        what_changes_nothing_writes_no_event
        no_event_holds_a_secret_or_verifier
        the_newest_events_come_first
        events_are_within_the_callers_reach
        events_are_filtered_by_key_actor_and_time
        pages_of_events_follow_each_other_while_more_are_written
        a_page_of_events_ends_with_its_bytes
        old_events_are_forgotten_a_few_at_a_time
        events_of_several_keyspaces_are_merged
        events_outlive_their_key_and_keyspace;
    request_ids:
        a_request_id_makes_one_key
        a_request_id_is_free_after_a_day
        a_request_id_is_of_one_keyspace
        a_refused_request_leaves_its_id_free
        a_request_id_outlives_its_key
        a_request_id_outlives_a_restart
        of_many_requests_with_one_id_one_is_served;
    imports:
        every_material_comes_back_as_given
        a_store_without_imports_has_no_forms
        a_secret_is_imported_once
        a_keyspace_imports_as_if_it_were_alone
        a_lookup_is_of_so_many_keyspaces_and_no_more
        a_bucket_takes_four_that_are_told_apart
        a_keyspace_has_eight_lengths_of_prefixes
        an_import_needs_a_keyspace
        an_import_keeps_to_request_ids
        an_imported_secret_lives_on_through_an_overlap
        imports_from_all_sides_make_each_key_once
        a_batch_of_a_thousand_is_made;
    keyspaces:
        default_and_system_are_there_at_first
        a_new_keyspace_comes_back_as_given
        an_id_of_no_keyspace_finds_nothing
        a_keyspace_is_made_once
        each_setting_changes_alone
        a_patch_that_changes_nothing_writes_nothing
        a_stale_keyspace_revision_is_refused
        keyspaces_are_listed_by_id_in_pages
        keyspaces_are_listed_within_the_callers_reach
        an_empty_keyspace_can_be_deleted_and_made_again
        a_keyspace_with_keys_cannot_be_deleted
        nothing_can_be_done_to_a_keyspace_that_is_not_there
        of_many_creations_of_one_keyspace_one_succeeds
        of_two_patches_with_one_revision_one_wins
        of_two_ttls_that_conflict_one_is_refused
        a_keyspace_with_broken_ttls_can_be_mended
        delete_racing_create_key_leaves_no_orphan;
    tenants:
        permissions_end_with_the_keyspace_they_name
        a_permission_needs_a_keyspace_to_be_for
        no_permission_slips_past_a_deletion
        events_are_not_the_successors
        a_key_is_made_in_the_keyspace_that_was_meant
        what_there_was_before_is_told_apart;
    concurrency:
        keys_of_many_creators_are_all_there
        a_reader_never_sees_half_a_rotation
        a_page_agrees_with_its_total_while_keys_come
        delete_racing_rotate_leaves_no_secret
        a_call_that_is_dropped_is_done_or_not
        callers_that_get_no_processor_keep_no_other_from_reading
        closing_lets_writes_finish;
    schema:
        an_empty_store_must_be_migrated_first
        a_migrated_store_is_current
        migrating_again_is_fine
        a_newer_schema_is_refused
        a_restart_keeps_everything
        an_open_store_answers_a_ping;
}

// A SQLite file has one process; PostgreSQL is there to be shared.
#[tokio::test]
async fn sqlite_refuses_a_second_process() {
    schema::sqlite_refuses_a_second_process(Rig::new(Backend::Sqlite).await).await;
}

// What follows is about those who share it.
#[tokio::test]
async fn what_is_edited_by_hand_is_told() {
    changes::what_is_edited_by_hand_is_told(Rig::new(Backend::Postgres).await).await;
}

#[tokio::test]
async fn replicas_come_and_go() {
    changes::replicas_come_and_go(Rig::new(Backend::Postgres).await).await;
}

#[tokio::test]
async fn the_end_of_the_log_is_never_cleared_away() {
    changes::the_end_of_the_log_is_never_cleared_away(Rig::new(Backend::Postgres).await).await;
}

// SQLite makes one change at a time anyway.
#[tokio::test(flavor = "multi_thread")]
async fn imports_of_one_keyspace_leave_a_place_to_another() {
    imports::imports_of_one_keyspace_leave_a_place_to_another(Rig::new(Backend::Postgres).await).await;
}

#[tokio::test]
async fn an_update_that_changes_nothing_is_committed() {
    keyspaces::an_update_that_changes_nothing_is_committed(Rig::new(Backend::Postgres).await).await;
}

#[tokio::test]
async fn usage_that_was_added_before_is_not_committed() {
    usage::usage_that_was_added_before_is_not_committed(Rig::new(Backend::Postgres).await).await;
}

// For the same reason only PostgreSQL can be migrated by several at once.
#[tokio::test(flavor = "multi_thread")]
async fn postgres_is_migrated_once_by_four() {
    Box::pin(schema::postgres_is_migrated_once_by_four()).await;
}
