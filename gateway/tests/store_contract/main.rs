//! The contract of `Store`: one suite that both stores pass, generated histories checked against the pure
//! functions, and what each store promises beyond. Each test has a store of its own, on a real SQLite file
//! or a real redis-server; time is an argument, so nothing waits.

#![expect(clippy::unwrap_used, reason = "a claim whose ground falls away has failed")]

mod contract;
mod embedded_only;
mod fixture;
mod histories;
mod leased;
mod model;
mod redis_only;
mod redis_rules;
mod redis_server;

macro_rules! claims {
    ($fixture:ident: $($claim:ident)*) => {
        mod $fixture {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $claim() {
                    let fixture = crate::fixture::$fixture().await;
                    crate::contract::$claim(fixture.store).await;
                }
            )*

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn two_gateways_at_saturation_admit_what_the_limit_allows() {
                crate::leased::saturated(crate::fixture::$fixture().await.store).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_take_from_a_live_lease_asks_the_store_nothing() {
                crate::leased::asks_seldom(crate::fixture::$fixture().await.store).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn what_is_not_used_is_given_back() {
                crate::leased::gives_back(crate::fixture::$fixture().await.store).await;
            }

            #[test]
            fn generated_histories_agree_with_the_pure_functions() {
                crate::histories::agree(crate::fixture::$fixture());
            }
        }
    };
}

/// The suite, for each store that has a fixture of this name.
macro_rules! store_contract {
    ($($fixture:ident),*) => {
        $(claims! { $fixture:
            a_session_is_kept_as_it_was_opened
            a_session_ends_by_itself
            sessions_are_listed_oldest_first_and_only_while_they_live
            the_rotation_table_holds
            a_rotation_moves_the_session_on
            a_rotation_takes_over_new_grants_and_a_replay_does_not
            rotating_for_ever_does_not_outlive_the_absolute_end
            reuse_ends_the_session_and_its_access_tokens
            a_thousand_rotations_of_one_token_have_one_winner
            a_session_that_was_ended_says_why_until_it_had_ended_by_itself
            a_reused_token_is_told_apart_from_its_echoes
            a_login_too_many_evicts_the_session_unused_longest
            a_cap_that_was_lowered_holds_from_the_next_login_on
            a_login_too_many_is_refused_where_new_ones_are
            a_hundred_logins_at_once_leave_as_many_sessions_as_may_be
            ending_one_session_leaves_the_others
            ending_the_others_leaves_this_one
            ending_all_raises_the_epoch
            a_session_of_somebody_else_is_never_touched
            a_revoked_token_falls_alone
            a_revocation_is_over_when_it_says
            a_disabled_user_neither_logs_in_nor_renews_nor_passes
            a_user_never_seen_is_in_the_default_state
            many_tokens_are_asked_of_at_once
            asking_of_many_says_what_asking_of_each_says
            user_limits_are_taken_only_by_tokens_that_stand
            limits_are_taken_in_order_until_one_refuses
            limits_by_user_count_apart
            a_lease_takes_as_many_as_are_there
            what_is_given_back_is_there_for_others
            leases_and_takes_go_on_from_one_count
            a_gateway_whose_clock_is_behind_refills_nothing
            gateways_whose_quotas_differ_refill_nothing_for_each_other
            failed_logins_wait_longer_and_are_forgotten
            a_clock_that_steps_back_locks_nobody_out
            keys_are_listed_newest_first_and_never_replaced
            twenty_gateways_that_start_at_once_agree_on_one_key
            who_follows_knows_what_the_store_knows
            more_than_a_page_of_revocations_is_told_whole
            what_is_revoked_while_a_snapshot_is_taken_is_known
            a_store_that_is_behind_its_reader_says_so
            a_store_is_told_what_it_lost_and_tells_everybody
            what_the_store_knows_better_is_not_undone
            restoring_enables_nobody
            a_view_merges_and_restores_what_only_it_knows
            a_store_that_is_reminded_of_a_user_lets_them_in_as_the_view_would
            a_user_who_was_enabled_meanwhile_is_not_kept_out
            what_is_revoked_is_remembered_for_the_longest_that_tokens_live_anywhere
            a_renewal_that_is_answered_again_where_tokens_live_long_counts
            a_life_counts_until_the_last_token_of_its_time_has_ended
            whatever_is_revoked_through_a_view_it_knows_before_the_answer
            what_a_clock_that_is_behind_ends_is_remembered_for_the_tokens_from_ahead
            a_token_from_before_the_clock_stepped_back_does_not_outlive_its_session
            a_ping_is_answered
        })*
    };
}
store_contract!(embedded, redis);
