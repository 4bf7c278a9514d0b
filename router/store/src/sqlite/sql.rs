//! Values to and from columns: ids as blobs, times as milliseconds, words and JSON as text.

use patchbay_message::{
    AgentId, ChannelId, CommandId, ContactId, ConversationId, GroupId, MessageId, ThreadId,
    TicketId, Time, TokenId,
};
use rusqlite::{Connection, Params, Row, types::FromSql};
use serde::{Serialize, de::DeserializeOwned};
use uuid::Uuid;

use super::error::Fail;

/// An id that is a UUID.
pub(super) trait Id: Copy {
    fn of(uuid: Uuid) -> Self;
    fn uuid(&self) -> &Uuid;
}

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl Id for $name {
            fn of(uuid: Uuid) -> Self { Self(uuid) }
            fn uuid(&self) -> &Uuid { &self.0 }
        }
    )*};
}
ids!(AgentId CommandId ContactId ConversationId GroupId MessageId ThreadId TicketId TokenId);

/// An id as its column's value.
pub(super) fn blob<I: Id>(id: &I) -> &[u8; 16] {
    id.uuid().as_bytes()
}

/// The same for an id that may be missing.
pub(super) fn opt<I: Id>(id: Option<&I>) -> Option<&[u8; 16]> {
    id.map(blob)
}

/// A time as its column's value.
pub(super) fn ms(time: Time) -> i64 {
    time.as_ms()
}

/// The same for a time that may be missing.
pub(super) fn opt_ms(time: Option<Time>) -> Option<i64> {
    time.map(Time::as_ms)
}

/// A value as JSON text.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Fail> {
    serde_json::to_string(value).map_err(|error| Fail::refused(error.to_string()))
}

/// Runs a statement; answers how many rows it changed.
pub(super) fn run(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, Fail> {
    #[cfg(test)]
    super::plans::note(sql);
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

/// The first row, if there is one.
pub(super) fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&mut Columns<'_, '_>) -> Result<T, Fail>,
) -> Result<Option<T>, Fail> {
    #[cfg(test)]
    super::plans::note(sql);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?
        .map(|row| read(&mut Columns { row, next: 0 }))
        .transpose()
}

/// Every row.
pub(super) fn all<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&mut Columns<'_, '_>) -> Result<T, Fail>,
) -> Result<Vec<T>, Fail> {
    #[cfg(test)]
    super::plans::note(sql);
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&mut Columns { row, next: 0 })?);
    }
    Ok(found)
}

/// A row, read from left to right.
pub(super) struct Columns<'a, 'stmt> {
    row: &'a Row<'stmt>,
    next: usize,
}

impl Columns<'_, '_> {
    /// The next column as it is.
    pub(super) fn get<T: FromSql>(&mut self) -> Result<T, Fail> {
        let value = self.row.get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    pub(super) fn id<I: Id>(&mut self) -> Result<I, Fail> {
        Ok(I::of(Uuid::from_bytes(self.get()?)))
    }

    pub(super) fn opt_id<I: Id>(&mut self) -> Result<Option<I>, Fail> {
        Ok(self
            .get::<Option<[u8; 16]>>()?
            .map(|bytes| I::of(Uuid::from_bytes(bytes))))
    }

    pub(super) fn time(&mut self) -> Result<Time, Fail> {
        Ok(Time::from_ms(self.get()?))
    }

    pub(super) fn opt_time(&mut self) -> Result<Option<Time>, Fail> {
        Ok(self.get::<Option<i64>>()?.map(Time::from_ms))
    }

    pub(super) fn channel(&mut self) -> Result<ChannelId, Fail> {
        let text: String = self.get()?;
        ChannelId::new(&text).map_err(|error| Fail::Store(error.to_string()))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fail> {
        Ok(serde_json::from_str(&self.get::<String>()?)?)
    }

    pub(super) fn opt_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fail> {
        Ok(self
            .get::<Option<String>>()?
            .map(|text| serde_json::from_str(&text))
            .transpose()?)
    }

    /// One of a closed list of words.
    pub(super) fn word<T>(&mut self, from: impl FnOnce(&str) -> Option<T>) -> Result<T, Fail> {
        let word: String = self.get()?;
        from(&word).ok_or_else(|| Fail::Store(format!("a row has the unknown word `{word}`")))
    }

    pub(super) fn bytes(&mut self) -> Result<bytes::Bytes, Fail> {
        Ok(self.get::<Vec<u8>>()?.into())
    }
}
