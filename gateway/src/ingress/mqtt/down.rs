//! What a device's thread has for it, on its way down: read from the store's history after what the
//! device has acknowledged, sent in order, never more at once than it takes.

use futures_util::FutureExt as _;
use patchbay_message::{Direction, MessageId, ReceiptState, Time};
use patchbay_mqtt::{Packet, Properties, Publish, topic};
use patchbay_sdk::{Await, Downlink};
use patchbay_store::{Expect, MessageRow, ReceiptWord};

use super::{
    super::thread_message,
    acks::Ack,
    end::End,
    line::Line,
    meter,
    window::{Entry, Window},
};

/// Rows read, and messages written, at once.
const PAGE: usize = 16;

/// One device's messages on their way.
pub(super) struct Down {
    /// Read up to this number.
    read_to: u64,
    /// What was read and is not yet known to be through.
    window: Window,
    unacked: meter::InFlight,
}

/// What is to be written down of messages.
#[derive(Default)]
struct Notes {
    words: Vec<ReceiptWord>,
    /// The answers that are expected now.
    expects: Vec<Expect>,
}

/// What becomes of a row.
enum Offer {
    /// It is not for the device, or over.
    Skip,
    /// It will not be sent.
    Word(ReceiptState, &'static str),
    /// The device has not subscribed to its topic: it and what follows wait.
    Wait,
    /// It goes out.
    Send(Box<Downlink>),
}

impl Line {
    /// The first subscription: from now on the device is sent what it misses.
    async fn begin_down(&mut self) {
        if self.down.is_some() {
            return;
        }
        let Ok(device) = self.listener.shared.ingress.store.device(self.thread).await else {
            // Behind nothing, so far; tried again when something comes for it.
            self.registration.advance(0);
            return;
        };
        let read_to = device.map_or(0, |(_, acked)| acked);
        self.registration.advance(read_to);
        let takes = self.bounds.receive_max.unwrap_or(u16::MAX);
        let window = self.listener.bounds.in_flight_max.min(takes).max(1);
        self.down = Some(Box::new(Down {
            read_to,
            window: Window::new(window.into()),
            unacked: meter::InFlight::outbound(&self.listener.channel.id),
        }));
    }

    /// Sends what there is, as far as the window reaches.
    pub(super) async fn pump(&mut self) -> Result<(), End> {
        if self.subscriptions.is_empty() {
            return Ok(());
        }
        self.begin_down().await;
        let store = std::sync::Arc::clone(&self.listener.shared.ingress.store);
        let mut notes = Notes::default();
        'reading: while let Some(down) = &self.down {
            let limit = u32::try_from(down.window.room().min(PAGE)).expect("a page is small");
            if limit == 0 {
                break;
            }
            let rows = match store.history(self.thread, down.read_to, limit).await {
                Ok(rows) => rows,
                Err(error) => {
                    // The comparison of cursors comes back to it.
                    tracing::debug!(channel = %self.listener.channel.id, %error, "history not read");
                    break;
                }
            };
            let n_rows = rows.len();
            for row in rows {
                if !self.offer(row, &mut notes) {
                    break 'reading;
                }
            }
            self.flush().await?;
            // Page by page: a history that nothing is waited for may be long.
            self.note(std::mem::take(&mut notes)).await?;
            if n_rows < limit as usize || self.called_off().now_or_never().is_some() {
                break;
            }
        }
        self.note(notes).await
    }

    /// Sends one row, or not; false if it and what follows have to wait.
    fn offer(&mut self, row: MessageRow, notes: &mut Notes) -> bool {
        let (seq, message) = (row.thread_seq.unwrap_or_default(), row.id);
        let mut offer = self.judge(row);
        let mut entry = Entry {
            seq,
            message,
            id: 0,
            awaits: None,
            counts: !matches!(offer, Offer::Skip),
        };
        if let Offer::Send(downlink) = offer {
            offer = match self.send(*downlink, &mut entry) {
                Ok(()) => Offer::Skip,
                Err(why) => Offer::Word(ReceiptState::Failed, why),
            };
            if entry.id == 0 && matches!(offer, Offer::Skip) {
                // With QoS 0 the device acknowledges nothing; it may still answer.
                notes
                    .words
                    .push(self.word(message, ReceiptState::Sent, None));
                let awaits = entry.awaits.take();
                notes.expects.extend(awaits.map(|one| self.expected(one)));
            }
        }
        match offer {
            Offer::Wait => return false,
            Offer::Word(state, why) => {
                meter::sent(&self.listener.channel.id, outcome(&state));
                let word = self.word(message, state, Some(why.to_owned()));
                notes.words.push(word);
            }
            Offer::Skip | Offer::Send(_) => {}
        }
        if let Some(down) = &mut self.down {
            down.window.push(entry);
            down.read_to = seq;
            self.registration.advance(seq);
        }
        true
    }

    fn judge(&self, row: MessageRow) -> Offer {
        let is_over = !matches!(
            row.state,
            None | Some(ReceiptState::Queued | ReceiptState::Accepted | ReceiptState::Other(_))
        );
        if row.direction != Direction::Outbound || is_over {
            return Offer::Skip;
        }
        let channel = &self.listener.channel;
        let by_policy = row.at.plus(channel.retry.expire_after);
        let expiry = row.expires_at.map_or(by_policy, |at| at.min(by_policy));
        if self.now() >= expiry {
            return Offer::Word(ReceiptState::Expired, "the device was away too long");
        }
        let message = thread_message(row);
        let pipeline = &self.listener.shared.ingress.pipeline;
        let device = self.session.party.as_ref();
        let downlink = device.and_then(|device| {
            pipeline.with_cx(channel, None, |cx| {
                channel.channel.downlink(cx, device, &message)
            })
        });
        match downlink {
            None => Offer::Word(
                ReceiptState::Failed,
                "the channel does not send this to devices",
            ),
            Some(downlink) if self.has_subscribed(&downlink.out.topic) => {
                Offer::Send(Box::new(downlink))
            }
            Some(_) => Offer::Wait,
        }
    }

    fn has_subscribed(&self, to: &str) -> bool {
        self.subscriptions
            .iter()
            .any(|filter| topic::matches(filter, to))
    }

    /// Puts a message into what is written next.
    fn send(&mut self, downlink: Downlink, entry: &mut Entry) -> Result<(), &'static str> {
        let Some(down) = &mut self.down else {
            return Err("the device is not listening");
        };
        let out = downlink.out;
        if !topic::is_name(&out.topic) {
            return Err("its topic is no topic");
        }
        let id = if out.qos == 0 { 0 } else { down.window.id() };
        let was_sent = &self.listener.shared.was_sent;
        let before = was_sent.get(&self.thread).unwrap_or_default();
        let publish = Publish {
            topic: out.topic,
            payload: out.payload,
            qos: out.qos.min(1),
            id,
            dup: id != 0 && entry.seq <= before,
            retain: false,
            properties: Some(Box::new(Properties {
                response_topic: out.response_topic,
                correlation: out.correlation,
                content_type: out.content_type,
                expiry: out
                    .expires_after
                    .map(|after| u32::try_from(after.as_secs().max(1)).unwrap_or(u32::MAX)),
                ..Properties::default()
            })),
        };
        let before_put = self.conn.n_unwritten();
        if self.conn.put(&Packet::Publish(publish)).is_err() {
            return Err("it cannot be written as a packet");
        }
        let bytes = self.conn.n_unwritten() - before_put;
        let takes = self.bounds.packet_bytes_max.unwrap_or(u32::MAX);
        if bytes > usize::try_from(takes).unwrap_or(usize::MAX) {
            self.conn.unput(before_put);
            return Err("it is larger than what the device takes");
        }
        entry.id = id;
        entry.awaits = downlink.awaits.map(|awaits| (downlink.external_id, awaits));
        if entry.seq > before {
            was_sent.insert(self.thread, entry.seq);
        }
        meter::sent(&self.listener.channel.id, "sent");
        Ok(())
    }

    /// The device has taken a message, or refused it.
    pub(super) async fn acked(&mut self, id: u16, reason: u8) -> Result<(), End> {
        let channel = &self.listener.channel.id;
        let Some(down) = &mut self.down else {
            return Ok(());
        };
        let Some((message, awaits)) = down.window.acked(id) else {
            return Ok(());
        };
        let mut notes = Notes::default();
        let word = if reason >= 0x80 {
            meter::sent(channel, "refused");
            let why = format!("the device refuses it with reason {reason:#04x}");
            self.word(message, ReceiptState::Failed, Some(why))
        } else {
            meter::sent(channel, "acked");
            match awaits {
                None => self.word(message, ReceiptState::Delivered, None),
                Some(awaits) => {
                    notes.expects.push(self.expected(awaits));
                    self.word(message, ReceiptState::Sent, None)
                }
            }
        };
        notes.words.push(word);
        self.note(notes).await?;
        self.pump().await
    }

    /// Hands over what is to be written down. Waits for room, unless the connection has to end: what
    /// is lost then is sent again.
    async fn note(&mut self, notes: Notes) -> Result<(), End> {
        let Some(down) = &mut self.down else {
            return Ok(());
        };
        let through = down.window.settle();
        down.unacked.set(down.window.n_unacked());
        if through.is_none() && notes.words.is_empty() {
            return Ok(());
        }
        let ack = Ack {
            thread: self.thread,
            through: through.unwrap_or_default(),
            words: notes.words,
            expects: notes.expects,
        };
        tokio::select! {
            biased;
            () = self.listener.shared.acks.write(ack) => Ok(()),
            end = self.called_off() => Err(end),
        }
    }

    /// From now on the device has its time to answer.
    fn expected(&self, (external_id, awaits): (String, Await)) -> Expect {
        Expect {
            channel: self.listener.channel.id.clone(),
            external_id,
            due: self.now().plus(awaits.within),
            or_else: awaits.or_else,
            fallback: awaits.fallback,
        }
    }

    fn word(&self, message: MessageId, state: ReceiptState, reason: Option<String>) -> ReceiptWord {
        ReceiptWord {
            channel: self.listener.channel.id.clone(),
            external_id: None,
            message: Some(message),
            state,
            reason,
            at: self.now(),
            attempts: None,
            overdue: false,
        }
    }

    fn now(&self) -> Time {
        self.listener.shared.ingress.pipeline.clock.now()
    }
}

fn outcome(state: &ReceiptState) -> &'static str {
    match state {
        ReceiptState::Expired => "expired",
        _ => "failed",
    }
}
