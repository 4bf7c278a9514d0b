//! The conformance suite. A backend joins it with `crate::conformance::suite!(open)`, where `open`
//! is an `async fn() -> impl Home`: an empty store, and whatever must live as long as it.
//!
//! Every test takes `&Arc<dyn Store>` and must not rely on a clock that can be moved: backends have
//! clocks of their own.

pub(crate) mod journal;
pub(crate) mod leases;

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
        ]);
        crate::conformance::suite!(@topic $open, journal, [
            all_of_a_commit_or_nothing,
            a_stale_owner_changes_nothing,
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
