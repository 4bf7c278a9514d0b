//! Reply windows.

use std::collections::BTreeMap;

use patchbay_message::ThreadId;
use uuid::Uuid;

use super::{
    PostgresStore,
    apply::{Group, Plan},
    error::Fail,
    sql::{Step, column, params},
};
use crate::{ReplyWindow, WindowNow, windows::quota_number};

const LOAD: &str = "SELECT w.message, w.quota, w.ends_at, a.message, a.part
     FROM reply_window w LEFT JOIN attempt a ON a.spends = w.message
     WHERE w.thread = $1 ORDER BY w.ends_at NULLS LAST, w.quota, a.message, a.part";

pub(super) fn write<'a>(group: Group<'a>, plan: &mut Plan<'a>) {
    // Of each kind the one that ends last; none at all is the last end there is.
    let mut windows: BTreeMap<(Uuid, i64), &ReplyWindow> = BTreeMap::new();
    for window in group.all(|changes| &changes.windows) {
        let kept = windows
            .entry((window.thread.0, quota_number(window.quota)))
            .or_insert(window);
        let end = |window: &ReplyWindow| (window.ends_at.is_none(), window.ends_at);
        if end(window) >= end(kept) {
            *kept = window;
        }
    }
    if !windows.is_empty() {
        let rows = || windows.iter();
        plan.add(
            "INSERT INTO reply_window AS w (thread, quota, message, ends_at)
             SELECT * FROM unnest($1::uuid[], $2::int8[], $3::uuid[], $4::int8[])
             ON CONFLICT (thread, quota) DO UPDATE SET message = excluded.message,
                 ends_at = excluded.ends_at
             WHERE excluded.ends_at IS NULL OR excluded.ends_at >= w.ends_at",
            params![
                rows().map(|((thread, _), _)| *thread).collect::<Vec<_>>(),
                rows().map(|((_, quota), _)| *quota).collect::<Vec<_>>(),
                rows().map(|(_, row)| row.message.0).collect::<Vec<_>>(),
                rows()
                    .map(|(_, row)| row.ends_at.map(patchbay_message::Time::as_ms))
                    .collect::<Vec<_>>(),
            ],
        );
    }
    let unspend = group.all(|changes| &changes.unspend);
    if !unspend.is_empty() {
        plan.add(
            "UPDATE attempt a SET spends = NULL FROM unnest($1::uuid[], $2::int4[]) w(message, part)
             WHERE a.message = w.message AND a.part = w.part",
            params![
                column(unspend.iter().copied(), |(message, _)| message.0),
                column(unspend, |(_, part)| i32::from(*part)),
            ],
        );
    }
}

pub(super) async fn load(store: &PostgresStore, thread: ThreadId) -> Result<Vec<WindowNow>, Fail> {
    let answer = store.work(Step::new(LOAD, params![thread.0])).await?;
    let rows = answer.all(|c| {
        let window = ReplyWindow {
            thread,
            message: c.id()?,
            quota: u32::try_from(c.get::<i64>()?).ok(),
            ends_at: c.opt_time()?,
        };
        let spent = match c.opt_id()? {
            Some(message) => Some((message, c.small()?)),
            None => None,
        };
        Ok((window, spent))
    })?;
    let mut windows: Vec<WindowNow> = Vec::new();
    for (window, spent) in rows {
        match windows.last_mut().filter(|last| last.window == window) {
            Some(last) => last.spent.extend(spent),
            None => windows.push(WindowNow {
                window,
                spent: spent.into_iter().collect(),
            }),
        }
    }
    Ok(windows)
}
