//! How a device stands: when it was heard of, its readings, its faults, and what its silence means.
//!
//! Silence goes by our clock, faults by the device's. Signs of life are what the device sends now:
//! neither what a broker has kept of it nor a will.

use patchbay_message::{
    Attributes, Envelope, FaultState, Location, ThreadId, Time, limits::ATTRIBUTES_BYTES_MAX,
};
use patchbay_store::{Device, Facts, FaultNow, Silence};

use super::{
    Board,
    board::FaultKey,
    fault,
    report::{self, Said},
};

/// The hint by which what a device sends says what its silence means.
const SILENCE_HINT: &str = "silence";
/// Readings kept of one device.
const READINGS_MAX: usize = 256;
/// The same, as JSON: bytes.
const READINGS_BYTES_MAX: usize = ATTRIBUTES_BYTES_MAX;
/// Fault codes kept of one device.
const FAULTS_MAX: usize = 256;

/// What the sender's silence means, if it means anything.
pub(super) fn hint(envelope: &Envelope) -> Option<Silence> {
    let hint = envelope.thread_hints.get(SILENCE_HINT)?;
    serde_json::from_value(hint.clone()).ok()
}

/// The fault of the device's old silence, if its silence has another code by now and the old one is
/// still raised.
pub(super) fn want_more(envelope: &Envelope, facts: &Facts) -> Option<FaultKey> {
    let sender = envelope.sender.as_ref()?;
    let channel = &envelope.channel.id;
    let device = facts.devices.get(&ThreadId::of(channel, &sender.address))?;
    let code = &device.silence.as_ref()?.code;
    let fault = (channel.clone(), sender.address.clone(), code.clone());
    let known = facts.ticket_of.contains_key(&fault) || !is_raised(device, code);
    (!known && hint(envelope).is_none_or(|hint| hint.code != *code)).then_some(fault)
}

/// A word of ours that the device is silent, and it is not, or that was known: the device has been
/// heard of since.
pub(super) fn was_heard_since(board: &Board<'_>, envelope: &Envelope, thread: ThreadId) -> bool {
    if !is_our_word(envelope) {
        return false;
    }
    let silent_at = board.device(thread).and_then(|device| device.silent_at);
    silent_at.is_none()
        || report::faults(envelope).any(|fault| Some(fault.occurred_at) != silent_at)
}

/// Whether we say it, not the device.
pub(super) fn is_our_word(envelope: &Envelope) -> bool {
    report::is_set(envelope, "silence")
}

/// The codes under which the device's silence is known: as it was, and as it is said now.
fn codes(board: &Board<'_>, said: Said<'_>) -> Vec<String> {
    let before = board
        .device(said.thread)
        .and_then(|device| device.silence.clone());
    let mut codes: Vec<String> = (before.into_iter().chain(hint(said.envelope)))
        .map(|silence| silence.code)
        .collect();
    codes.dedup();
    codes
}

/// Whether this fault is the device's silence: it goes by our clock, whoever says it.
pub(super) fn is_silence(board: &Board<'_>, said: Said<'_>, fault: &FaultKey) -> bool {
    fault.1 == said.address && !said.is_retained() && codes(board, said).contains(&fault.2)
}

/// Whether the device itself has sent this just now.
fn is_sign_of_life(said: Said<'_>, codes: &[String]) -> bool {
    let ends = report::faults(said.envelope).any(|fault| {
        fault.state == FaultState::Raised
            && fault.device == said.address
            && codes.contains(&fault.code)
    });
    !said.is_retained() && !is_our_word(said.envelope) && !ends
}

/// Notes that the device was heard of. A device that was silent is not any more; answers under which
/// codes.
pub(super) fn heard(board: &mut Board<'_>, said: Said<'_>) -> Vec<String> {
    let received_at = said.envelope.received_at;
    let mut codes = codes(board, said);
    let alive = is_sign_of_life(said, &codes);
    match board.device_mut(said.thread) {
        Some(device) if alive => device.seen_at = device.seen_at.max(received_at),
        Some(_) => {}
        None => board.add_device(Device {
            thread_id: said.thread,
            channel: said.envelope.channel.id.clone(),
            address: said.address.to_owned(),
            partition: board.context.partition,
            seen_at: received_at,
            silent_at: None,
            silence: None,
            readings: Attributes::new(),
            readings_at: None,
            location: None,
            faults: Default::default(),
        }),
    }
    codes.retain(|code| {
        let is_back = alive
            && board
                .device(said.thread)
                .is_some_and(|device| is_raised(device, code));
        if is_back {
            fault::back(board, said, code);
        }
        is_back
    });
    codes
}

/// Until when the device may be silent from now on.
pub(super) fn wind_up(board: &mut Board<'_>, said: Said<'_>) {
    let alive = is_sign_of_life(said, &codes(board, said));
    let Some(device) = board.device_mut(said.thread) else {
        return;
    };
    // A will need not say what silence means: that stays as it was.
    let silence = hint(said.envelope).or_else(|| device.silence.take().filter(|_| !alive));
    let is_silent = (silence.as_ref()).is_some_and(|silence| is_raised(device, &silence.code));
    device.silent_at = match &silence {
        None => None,
        Some(_) if is_silent => None,
        Some(silence) if alive => Some(device.seen_at.plus(silence.after())),
        Some(silence) => {
            (device.silent_at).or_else(|| Some(said.envelope.received_at.plus(silence.after())))
        }
    };
    device.silence = silence;
}

fn is_raised(device: &Device, code: &str) -> bool {
    (device.faults.get(code)).is_some_and(|fault| fault.state == FaultState::Raised)
}

/// The newest readings by name. What was taken before those there are adds what they do not have.
pub(super) fn read(
    board: &mut Board<'_>,
    thread: ThreadId,
    readings: &Attributes,
    location: Option<Location>,
    at: Time,
) {
    if readings.is_empty() && location.is_none() {
        return;
    }
    let now = board.now();
    let Some(device) = board.device_mut(thread) else {
        return;
    };
    let is_newer = (device.readings_at).is_none_or(|before| fault::comes_after(at, before, now));
    if is_newer || device.location.is_none() {
        device.location = location.or(device.location);
    }
    if is_newer {
        device.readings_at = Some(at);
        for (name, value) in readings {
            device.readings.insert(name.clone(), value.clone());
        }
    } else {
        for (name, value) in readings {
            let place = device.readings.entry(name.clone());
            place.or_insert_with(|| value.clone());
        }
    }
    // Names that change all the time must not pile up.
    if device.readings.len() > READINGS_MAX || weight(&device.readings) > READINGS_BYTES_MAX {
        device.readings.clone_from(readings);
    }
}

/// Bytes as JSON.
fn weight(readings: &Attributes) -> usize {
    serde_json::to_vec(readings).map_or(usize::MAX, |json| json.len())
}

/// Keeps how a fault stands now. Of too many, the oldest that is cleared is forgotten, else the
/// oldest; never the device's silence, which its next sign of life has to find.
pub(super) fn keep(board: &mut Board<'_>, thread: ThreadId, name: String, fault: FaultNow) {
    let Some(device) = board.device_mut(thread) else {
        return;
    };
    if device.faults.len() >= FAULTS_MAX && !device.faults.contains_key(&name) {
        let silence = device.silence.as_ref().map(|silence| &silence.code);
        let oldest = (device.faults.iter())
            .filter(|(code, _)| Some(*code) != silence)
            .min_by_key(|(_, fault)| (fault.state != FaultState::Cleared, fault.at))
            .map(|(code, _)| code.clone());
        if let Some(oldest) = oldest {
            device.faults.remove(&oldest);
        }
    }
    device.faults.insert(name, fault);
}
