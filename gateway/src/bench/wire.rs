//! Frames of AMQP 0-9-1 by hand, as far as `amqp` needs them: everything on channel 1
//! (<https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>).

/// Frame types and the byte every frame ends with (section 4.2.3).
pub(super) const METHOD: u8 = 1;
const HEADER: u8 = 2;
pub(super) const BODY: u8 = 3;
pub(super) const END: u8 = 0xCE;

/// Class and method.
pub(super) type Name = (u16, u16);
const BASIC_PUBLISH: Name = (60, 40);
pub(super) const BASIC_DELIVER: Name = (60, 60);
pub(super) const BASIC_ACK: Name = (60, 80);

/// The frames that publish `body` to a queue; the body stands at the end, before one last byte.
pub(super) fn publish_frames(queue: &str, body: &[u8]) -> Vec<u8> {
    let mut method = vec![0, 0];
    put_short(&mut method, "");
    put_short(&mut method, queue);
    method.push(0);
    let mut out = Vec::new();
    put_method(&mut out, 1, BASIC_PUBLISH, &method);
    let mut header = vec![0, 60, 0, 0];
    header.extend((body.len() as u64).to_be_bytes());
    // Content type and delivery mode: durable.
    header.extend(0x9000_u16.to_be_bytes());
    put_short(&mut header, "application/json");
    header.push(2);
    put_frame(&mut out, HEADER, 1, &header);
    put_frame(&mut out, BODY, 1, body);
    out
}

/// The frame that acks everything up to a tag.
pub(super) fn put_ack(out: &mut Vec<u8>, tag: u64) {
    let mut body = tag.to_be_bytes().to_vec();
    body.push(1);
    put_method(out, 1, BASIC_ACK, &body);
}

pub(super) fn name_of(payload: &[u8]) -> Name {
    match payload {
        [a, b, c, d, ..] => (u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])),
        _ => (0, 0),
    }
}

pub(super) fn put_method(out: &mut Vec<u8>, channel: u16, (class, method): Name, body: &[u8]) {
    let mut payload = [class.to_be_bytes(), method.to_be_bytes()].concat();
    payload.extend_from_slice(body);
    put_frame(out, METHOD, channel, &payload);
}

fn put_frame(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    put_long(out, payload);
    out.push(END);
}

pub(super) fn put_short(out: &mut Vec<u8>, text: &str) {
    out.push(u8::try_from(text.len()).expect("names are short"));
    out.extend_from_slice(text.as_bytes());
}

pub(super) fn put_long(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("nothing here is that long");
    out.extend(length.to_be_bytes());
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Types and payloads of frames on channel 1.
    fn read(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
        let mut frames = Vec::new();
        while let [kind, 0, 1, a, b, c, d, rest @ ..] = bytes {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            assert_eq!(rest[length], END);
            frames.push((*kind, rest[..length].to_vec()));
            bytes = &rest[length + 1..];
        }
        assert!(bytes.is_empty());
        frames
    }

    #[test]
    fn a_publish_is_three_frames_and_the_body_stands_at_the_end() {
        let out = publish_frames("q", b"body");
        let frames = read(&out);
        let kinds: Vec<u8> = frames.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(kinds, [METHOD, HEADER, BODY]);
        assert_eq!(name_of(&frames[0].1), BASIC_PUBLISH);
        assert_eq!(frames[1].1[4..12], 4_u64.to_be_bytes());
        assert_eq!(&out[out.len() - 5..out.len() - 1], b"body");
    }

    #[test]
    fn an_ack_takes_all_before_it() {
        let mut out = Vec::new();
        put_ack(&mut out, 7);
        let [(METHOD, payload)] = &read(&out)[..] else {
            panic!("one method");
        };
        assert_eq!(name_of(payload), BASIC_ACK);
        assert_eq!(payload[4..], [0, 0, 0, 0, 0, 0, 0, 7, 1]);
    }
}
