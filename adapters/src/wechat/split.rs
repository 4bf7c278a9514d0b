//! A long text in pieces that are each short enough.

/// The pieces: whole characters, cut behind a line, else behind a blank, where that leaves more than
/// half of the room used.
pub(crate) fn split(text: &str, bytes_max: usize) -> impl Iterator<Item = &str> {
    let mut rest = text.trim();
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, left) = rest.split_at(end(rest, bytes_max));
        rest = left.trim_start();
        Some(piece.trim_end())
    })
}

fn end(text: &str, bytes_max: usize) -> usize {
    if text.len() <= bytes_max {
        return text.len();
    }
    let room = &text[..text.floor_char_boundary(bytes_max)];
    let half = room.len() / 2;
    let behind = |found: fn(char) -> bool| {
        let (at, c) = room.char_indices().rev().find(|(_, c)| found(*c))?;
        (at >= half).then_some(at + c.len_utf8())
    };
    let line = behind(|c| c == '\n');
    // A character of more bytes than there is room for makes a piece of its own.
    let first = text.chars().next().map_or(text.len(), char::len_utf8);
    line.or_else(|| behind(char::is_whitespace))
        .unwrap_or(room.len())
        .max(first)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pieces(text: &str, bytes_max: usize) -> Vec<&str> {
        split(text, bytes_max).collect()
    }

    #[test]
    fn a_long_text_is_cut_where_a_reader_would() {
        assert_eq!(
            pieces("one two three four", 9),
            ["one two", "three", "four"]
        );
        assert_eq!(pieces("first line\nof two", 14), ["first line", "of two"]);
        assert_eq!(pieces("你好你好", 7), ["你好", "你好"]);
        assert_eq!(pieces("short", 2048), ["short"]);
        assert_eq!(pieces("  ", 10), [""; 0]);
    }

    proptest! {
        #[test]
        fn nothing_but_blanks_is_lost(text in "\\PC{0,80}( |\n|x){0,20}", bytes_max in 4_usize..30) {
            let whole = |text: &str| text.split_whitespace().collect::<String>();
            let pieces = pieces(&text, bytes_max);
            prop_assert!(pieces.iter().all(|piece| piece.len() <= bytes_max && !piece.is_empty()));
            prop_assert_eq!(whole(&pieces.concat()), whole(&text));
        }
    }
}
