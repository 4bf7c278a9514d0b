//! The conformance suite. A backend joins it with `crate::conformance::suite!(open)`, where `open`
//! is an `async fn() -> impl Home`: an empty store, and whatever must live as long as it.
//!
//! Every test takes `&Arc<dyn Store>` and must not rely on a clock that can be moved: backends have
//! clocks of their own.

pub(crate) mod agents;
pub(crate) mod conversations;
pub(crate) mod dead;
pub(crate) mod devices;
pub(crate) mod events;
pub(crate) mod expects;
pub(crate) mod facts;
pub(crate) mod journal;
pub(crate) mod lanes;
pub(crate) mod leases;
pub(crate) mod media;
pub(crate) mod provider_tokens;
pub(crate) mod pulls;
pub(crate) mod random;
pub(crate) mod receipts;
pub(crate) mod retention;
pub(crate) mod settings;
pub(crate) mod ticket_lists;
pub(crate) mod tickets;
pub(crate) mod windows;

use std::sync::Arc;

use patchbay_store::Store;

/// An empty store of some backend, and what keeps it there.
pub(crate) trait Home {
    /// The store.
    fn store(&self) -> &Arc<dyn Store>;
}

/// Makes a test of each promise for one backend.
macro_rules! suite {
    ($open:ident) => {
        crate::conformance::suite!(@topic $open, leases, [
            a_free_lease_is_taken_once,
            its_owner_keeps_the_epoch,
            an_expired_lease_changes_hands_with_a_higher_epoch,
            its_owner_may_be_late_if_nobody_came,
            who_beats_is_counted_by_role,
            leaving_gives_everything_back,
        ]);
        crate::conformance::suite!(@topic $open, provider_tokens, [
            one_of_many_fetches,
            come_back_as_they_were_kept,
            are_new_when_they_differ_or_were_renewed,
            a_late_fetcher_keeps_nothing,
            a_failure_makes_everybody_wait,
            renewals_are_far_apart,
        ]);
        crate::conformance::suite!(@topic $open, journal, [
            all_of_a_commit_or_nothing,
            a_stale_owner_changes_nothing,
            a_given_up_lease_fences,
            one_of_many_wins_a_thread,
            one_of_many_wins_a_conversation,
            one_of_many_wins_an_address,
            one_of_many_wins_a_dedupe_key,
            a_failing_commit_harms_no_other,
            rows_that_never_fit_are_refused,
            numbers_of_messages_are_taken_once,
            the_first_outcome_stands,
            outbox_numbers_rise_and_outlive_their_rows,
        ]);
        crate::conformance::suite!(@topic $open, facts, [
            of_an_address,
            of_a_conversation,
            asked_together_are_told_apart,
            of_the_desk,
            who_waits_oldest_first,
            whose_snooze_has_ended,
            from_one_point_in_time,
            of_keys_no_row_can_have,
        ]);
        crate::conformance::suite!(@topic $open, lanes, [
            perform_their_next_number_only,
            one_of_many_performs_a_number,
            only_the_first_parked_is_due,
            what_is_parked_again_is_one_row,
            what_is_done_is_parked_no_more,
            attempts_are_kept_until_the_number_is_done,
            a_bucket_is_shared_and_refills,
            live_connections_come_and_go,
            resuming_a_channel_makes_its_parked_due,
        ]);
        crate::conformance::suite!(@topic $open, media, [
            one_of_many_takes_a_message_up,
            a_turn_ends_once,
        ]);
        crate::conformance::suite!(@topic $open, pulls, [
            are_at_their_beginning_first,
            rings_are_counted_and_served,
            a_stale_puller_moves_nothing,
        ]);
        crate::conformance::suite!(@topic $open, windows, [
            of_each_kind_the_newest_counts,
            know_which_attempts_count_against_them,
        ]);
        crate::conformance::suite!(@topic $open, receipts, [
            may_come_before_what_they_speak_of,
            only_raise,
            of_parts_add_up,
            of_a_failed_part_fail_the_message,
            of_our_own_count_attempts,
            of_an_id_used_again_mean_the_newer_message,
            of_strangers_change_nothing,
            watermarks_rise_and_lift_messages,
            watermarks_stop_at_the_newest,
        ]);
        crate::conformance::suite!(@topic $open, events, [
            are_numbered_without_gap_in_order_of_commit,
            a_reader_that_resumes_misses_nothing,
            tell_how_far_they_reach,
        ]);
        crate::conformance::suite!(@topic $open, conversations, [
            are_paged_newest_first,
            are_filtered,
            are_found_by_name_and_address_in_any_case,
            know_their_place_in_the_queue,
            messages_are_paged_both_ways,
            a_visitor_sees_no_notes,
            reading_clears_unread_and_keeps_the_version,
        ]);
        crate::conformance::suite!(@topic $open, agents, [
            are_made_and_changed,
            what_cannot_be_is_refused,
            are_loaded_to_capacity_by_one_of_many,
            are_loaded_past_it_by_force_only,
            presence_is_an_event_once,
            lapse_when_their_console_is_gone,
            groups_are_made_changed_and_deleted,
            tokens_end,
        ]);
        crate::conformance::suite!(@topic $open, dead, [
            letters_are_paged_newest_first,
            letters_end_once,
        ]);
        crate::conformance::suite!(@topic $open, settings, [
            the_first_writer_of_a_setting_wins,
            channels_tell_how_they_are,
            gauges_count,
        ]);
        crate::conformance::suite!(@topic $open, retention, [
            goes_in_bounded_steps,
            keeps_what_is_young_or_open,
            closed_tickets_go_with_their_histories,
            closed_conversations_go_with_their_messages,
        ]);
        crate::conformance::suite!(@topic $open, tickets, [
            come_back_as_they_were_written,
            are_numbered_by_year,
            are_numbered_without_gap_by_many,
            of_a_fault_one_is_open,
            make_room_for_the_next_in_one_commit,
            one_of_many_changes_one,
            entries_are_numbered_once,
            that_never_fit_are_refused,
            hold_their_group,
        ]);
        crate::conformance::suite!(@topic $open, ticket_lists, [
            are_paged_newest_first,
            are_filtered,
            are_found_by_text_in_any_case,
            are_loaded_by_fault,
            wait_worst_first,
            settle_when_they_have_been_quiet,
        ]);
        crate::conformance::suite!(@topic $open, devices, [
            come_back_as_they_were_written,
            acks_only_rise,
            that_said_nothing_yet_may_ack,
            are_silent_longest_first,
            are_silent_page_by_page,
        ]);
        crate::conformance::suite!(@topic $open, expects, [
            are_overdue_by_their_time,
            end_with_the_answer,
            end_with_a_word_on_the_message,
            are_not_begun_after_the_answer,
            overdue_takes_the_place_of_sent,
            overdue_leaves_an_answer_alone,
            overdue_is_ignored_if_it_is_waited_longer,
            overdue_is_ignored_if_it_is_waited_no_more,
            fallbacks_give_way_whichever_comes_first,
            fallbacks_end_with_sent,
            late_answers_are_heard,
            of_parts_add_up,
        ]);
        crate::conformance::suite!(@topic $open, random, [
            changes_keep_the_numbers_whole,
        ]);
    };
    (@topic $open:ident, $topic:ident, [$($test:ident),* $(,)?]) => {
        mod $topic {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $test() {
                    let home = super::$open().await;
                    let store = $crate::conformance::Home::store(&home);
                    $crate::conformance::$topic::$test(store).await;
                }
            )*
        }
    };
}
pub(crate) use suite;
