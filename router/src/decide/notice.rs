//! What the console shows beside messages: notices of what happened, and the list's preview line.

use patchbay_message::{
    AgentId, Attributes, Content, ConversationId, Direction, MessageId, Part, Party, Time,
};
use patchbay_store::{Agent, Conversation, MessageKind, MessageRow};
use serde_json::Value;
use uuid::Uuid;

use super::Board;

/// Characters of a preview.
const PREVIEW_CHARS_MAX: usize = 120;

/// Who says or does something on our side.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Voice<'a> {
    /// An agent.
    Agent(&'a Agent),
    /// Patchbay itself, or a machine's token.
    System,
}

impl Voice<'_> {
    pub(crate) fn id(self) -> Option<AgentId> {
        match self {
            Self::Agent(agent) => Some(agent.id),
            Self::System => None,
        }
    }

    /// The word of `last_from`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Agent(_) => "agent",
            Self::System => "system",
        }
    }

    /// ` by Ann`, or nothing.
    pub(crate) fn by(self) -> String {
        match self {
            Self::Agent(agent) => format!(" by {}", agent.name),
            Self::System => String::new(),
        }
    }

    pub(crate) fn party(self) -> Party {
        match self {
            Self::Agent(agent) => Party {
                address: agent.id.to_string(),
                name: Some(agent.name.clone()),
                verified: true,
                ..Party::default()
            },
            Self::System => Party {
                address: "system".into(),
                verified: true,
                ..Party::default()
            },
        }
    }
}

/// Adds a notice to a conversation on the board.
pub(crate) fn notice(
    board: &mut Board<'_>,
    conversation: ConversationId,
    voice: Voice<'_>,
    what: &str,
    text: &str,
) {
    let now = board.now();
    let id = (board.ids)();
    if let Some(row) = board.conversation_mut(conversation) {
        let notice = notice_row(row, id, now, voice, what, text);
        board.add_message(notice);
    }
}

/// A notice as a row; takes the conversation's next `pos`. `what` names it for consoles that say it
/// in another language: `assigned`, `queued`, `resolved`, `closed`, `reopened`, `snoozed`, `woken`.
pub(crate) fn notice_row(
    conversation: &mut Conversation,
    id: Uuid,
    now: Time,
    voice: Voice<'_>,
    what: &str,
    text: &str,
) -> MessageRow {
    conversation.last_pos += 1;
    let mut extra = Attributes::new();
    extra.insert("notice".into(), Value::String(what.into()));
    MessageRow {
        id: MessageId(id),
        conversation_id: conversation.id,
        thread_id: conversation.thread_id,
        pos: conversation.last_pos,
        thread_seq: None,
        out_seq: None,
        kind: MessageKind::Notice,
        direction: Direction::Outbound,
        sender: voice.party(),
        agent_id: voice.id(),
        content: vec![Content::Known(Part::Text {
            text: text.into(),
            extra,
        })],
        external_id: None,
        at: now,
        state: None,
        reason: None,
        attempts: 0,
        expires_at: None,
    }
}

/// One line that says what a message is about.
pub(crate) fn preview(content: &[Content]) -> String {
    let line = content.iter().find_map(words).unwrap_or_else(|| {
        content
            .first()
            .map_or(String::new(), |part| format!("[{}]", part.type_name()))
    });
    (line.chars())
        .filter(|char| !char.is_control())
        .take(PREVIEW_CHARS_MAX)
        .collect()
}

/// A part's words on one line, if it has any.
fn words(part: &Content) -> Option<String> {
    let Content::Known(part) = part else {
        return None;
    };
    let text = match part {
        Part::Text { text, .. } | Part::Edit { text, .. } => text,
        Part::Image { media, .. }
        | Part::Audio { media, .. }
        | Part::Video { media, .. }
        | Part::File { media, .. } => {
            let said = media.caption.as_ref().or(media.name.as_ref())?;
            return Some(format!("[{}] {said}", part.type_name()));
        }
        Part::Choice {
            text,
            options,
            chosen,
            ..
        } => {
            let label = |id: &String| {
                let option = options.iter().find(|option| option.id == *id);
                option.map_or(id, |option| &option.label).clone()
            };
            return chosen.as_ref().map(label).or_else(|| text.clone());
        }
        Part::Card { title, .. } => title,
        Part::Fault { fault, .. } => fault.text.as_ref().unwrap_or(&fault.code),
        Part::Command { name, .. } => name,
        _ => return None,
    };
    // Taking twice the characters is enough for a preview of any text without odd amounts of space.
    let line: Vec<&str> = text.split_whitespace().take(PREVIEW_CHARS_MAX).collect();
    (!line.is_empty()).then(|| line.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_line_of_at_most_120_characters() {
        let text = |text: &str| vec![Content::text(text)];
        assert_eq!(preview(&text(" a\n b\t c\0 ")), "a b c");
        assert_eq!(preview(&text(&"好".repeat(500))).chars().count(), 120);
        assert_eq!(preview(&[]), "");
        let odd: Content = serde_json::from_str(r#"{"type":"hologram"}"#).unwrap();
        assert_eq!(preview(&[odd]), "[hologram]");
        let image: Content = serde_json::from_str(
            r#"{"type":"image","url":"/media/x","mime":"image/png","size":3,"caption":"my cat"}"#,
        )
        .unwrap();
        assert_eq!(preview(&[image]), "[image] my cat");
    }
}
