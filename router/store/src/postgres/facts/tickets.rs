//! Tickets and devices, and what is due about them.

use std::collections::HashMap;

use uuid::Uuid;

use super::Take;
use crate::{
    Facts, Ticket, Want,
    limits::{OVERDUE_MAX, ROWS_MAX, SETTLED_MAX, SILENT_MAX},
    postgres::{
        error::Fail,
        rows::tickets::{self as rows, select_device, select_ticket, ticket_columns},
        sql::{Answer, Step, can_be, column, params},
    },
    tickets::urgency,
};

/// Of each fault the open ticket and the newest.
const OF_FAULTS: &str = concat!(
    "SELECT ",
    ticket_columns!(),
    " FROM unnest($1::text[], $2::text[], $3::text[]) w(channel, device, code)
     CROSS JOIN LATERAL (
         (SELECT * FROM ticket o WHERE o.channel = w.channel AND o.device = w.device
             AND o.code = w.code AND o.state NOT IN ('done', 'cancelled') LIMIT 1)
         UNION ALL
         (SELECT * FROM ticket n WHERE n.channel = w.channel AND n.device = w.device
             AND n.code = w.code ORDER BY n.created_at DESC, n.id DESC LIMIT 1)
     ) t"
);

pub(super) fn ask<'a>(want: &'a Want, questions: &mut Vec<(Step<'a>, Take)>) {
    if !want.devices.is_empty() {
        let ids = column(&want.devices, |id| id.0);
        let sql = select_device!("WHERE d.thread = ANY($1)");
        questions.push((Step::new(sql, params![ids]), |answer, facts| {
            let devices = answer.all(rows::device)?.into_iter();
            facts
                .devices
                .extend(devices.map(|(device, _)| (device.thread_id, device)));
            Ok(())
        }));
    }
    if !want.tickets.is_empty() {
        let ids = column(&want.tickets, |id| id.0);
        let sql = select_ticket!("WHERE t.id = ANY($1)");
        questions.push((Step::new(sql, params![ids]), |answer, facts| {
            let tickets = answer.all(rows::ticket)?.into_iter();
            facts.tickets.extend(tickets.map(|row| (row.id, row)));
            Ok(())
        }));
    }
    if !want.faults.is_empty() {
        let faults = || {
            let all = want.faults.iter();
            all.filter(|(_, device, code)| can_be(device) && can_be(code))
        };
        let params = params![
            column(faults(), |(channel, _, _)| channel.as_str()),
            column(faults(), |(_, device, _)| device.as_str()),
            column(faults(), |(_, _, code)| code.as_str()),
        ];
        questions.push((Step::new(OF_FAULTS, params), take_faults));
    }
    waiting(want, questions);
    due(want, questions);
}

fn take_faults(answer: &Answer, facts: &mut Facts) -> Result<(), Fail> {
    let mut found: HashMap<_, Ticket> = HashMap::new();
    for row in answer.all(rows::ticket)? {
        let key = (row.channel.clone(), row.device.clone(), row.code.clone());
        if row.state.is_open() || !found.contains_key(&key) {
            found.insert(key, row);
        }
    }
    for (key, row) in found {
        facts.ticket_of.insert(key, row.id);
        facts.tickets.insert(row.id, row);
    }
    Ok(())
}

fn waiting<'a>(want: &'a Want, questions: &mut Vec<(Step<'a>, Take)>) {
    if want.waiting_tickets == 0 {
        return;
    }
    let sql = select_ticket!(
        "WHERE t.state IN ('new', 'reopened')
             AND (t.urgency, coalesce(t.waiting_since, t.created_at), t.id) > ($2, $3, $4)
         ORDER BY t.urgency, coalesce(t.waiting_since, t.created_at), t.id LIMIT $1"
    );
    let after = want.waiting_tickets_after.as_ref();
    let (worst, at, id) = after.map_or((0, i64::MIN, Uuid::nil()), |(severity, last)| {
        (urgency(severity), last.at.as_ms(), last.id)
    });
    let limit = i64::from(want.waiting_tickets.min(ROWS_MAX));
    let params = params![limit, i32::from(worst), at, id];
    questions.push((Step::new(sql, params), |answer, facts| {
        facts.waiting_tickets = answer.all(rows::ticket)?;
        Ok(())
    }));
}

fn due<'a>(want: &'a Want, questions: &mut Vec<(Step<'a>, Take)>) {
    if let Some(until) = want.settled_until {
        let sql = select_ticket!(
            "WHERE t.settles_at <= $1 AND t.state NOT IN ('done', 'cancelled')
             ORDER BY t.settles_at LIMIT $2"
        );
        let params = params![until.as_ms(), i64::from(SETTLED_MAX)];
        questions.push((Step::new(sql, params), |answer, facts| {
            facts.settled = answer.all(rows::ticket)?;
            Ok(())
        }));
    }
    if let Some(until) = want.silent_until {
        let sql = select_device!(
            "WHERE d.silent_at BETWEEN $3 AND $1 AND (d.silent_at, d.thread) > ($3, $4)
             ORDER BY d.silent_at, d.thread LIMIT $2"
        );
        let after = want.silent_after.as_ref();
        let (at, id) = after.map_or((i64::MIN, Uuid::nil()), |last| (last.at.as_ms(), last.id));
        let params = params![until.as_ms(), i64::from(SILENT_MAX), at, id];
        questions.push((Step::new(sql, params), |answer, facts| {
            let silent = answer.all(rows::device)?.into_iter();
            facts.silent = silent.map(|(device, _)| device).collect();
            Ok(())
        }));
    }
    if let Some(until) = want.overdue_until {
        let sql = "SELECT channel, external_id, due, or_else, fallback FROM expect
             WHERE due <= $1 ORDER BY due LIMIT $2";
        let params = params![until.as_ms(), i64::from(OVERDUE_MAX)];
        questions.push((Step::new(sql, params), |answer, facts| {
            facts.overdue = answer.all(rows::expect)?;
            Ok(())
        }));
    }
}
