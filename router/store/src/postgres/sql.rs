//! Statements and rows: what is sent together, and how columns are read.

use std::{borrow::Cow, collections::VecDeque, future::Future, pin::Pin};

use deadpool_postgres::ClientWrapper;
use futures_util::{TryStreamExt as _, future::try_join_all, poll};
use patchbay_message::{
    AgentId, ChannelId, CommandId, ContactId, ConversationId, GroupId, MessageId, ThreadId,
    TicketId, Time, TokenId,
};
use serde::{Serialize, de::DeserializeOwned};
use tokio_postgres::{
    Row,
    types::{FromSql, ToSql},
};
use uuid::Uuid;

use super::error::Fail;

/// The database's clock in milliseconds, as an expression.
macro_rules! now_ms {
    () => {
        "(extract(epoch FROM clock_timestamp()) * 1000)::int8"
    };
}

/// A parameter of a statement.
pub(super) type Param<'a> = Box<dyn ToSql + Sync + Send + 'a>;

/// Parameters, each in a box.
macro_rules! params {
    ($($value:expr),* $(,)?) => {
        vec![$(Box::new($value) as $crate::postgres::sql::Param<'_>),*]
    };
}
pub(super) use {now_ms, params};

/// A statement with its parameters; the text is prepared once per connection, so there must not be
/// many texts.
pub(super) struct Step<'a> {
    pub(super) sql: Cow<'static, str>,
    pub(super) params: Vec<Param<'a>>,
}

impl<'a> Step<'a> {
    pub(super) fn new(sql: impl Into<Cow<'static, str>>, params: Vec<Param<'a>>) -> Self {
        Self {
            sql: sql.into(),
            params,
        }
    }

    fn parameters(&self) -> impl ExactSizeIterator<Item = &(dyn ToSql + Sync)> {
        self.params.iter().map(|param| &**param as _)
    }

    /// A statement without parameters.
    pub(super) fn bare(sql: &'static str) -> Self {
        Self::new(sql, Vec::new())
    }
}

/// What a statement answered.
pub(super) struct Answer {
    pub(super) rows: Vec<Row>,
    pub(super) affected: u64,
}

impl Answer {
    /// Every row.
    pub(super) fn all<T>(
        &self,
        mut read: impl FnMut(&mut Columns<'_>) -> Result<T, Fail>,
    ) -> Result<Vec<T>, Fail> {
        self.rows
            .iter()
            .map(|row| read(&mut Columns::new(row)))
            .collect()
    }

    /// The first row, if there is one.
    pub(super) fn one<T>(
        &self,
        read: impl FnOnce(&mut Columns<'_>) -> Result<T, Fail>,
    ) -> Result<Option<T>, Fail> {
        self.rows
            .first()
            .map(|row| read(&mut Columns::new(row)))
            .transpose()
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<Answer, Fail>> + Send + 'a>>;

/// Sends every statement before it waits for the first answer: one round trip for all of them.
/// Answers come in the order of the statements.
pub(super) async fn pipeline(
    client: &ClientWrapper,
    steps: &[Step<'_>],
) -> Result<VecDeque<Result<Answer, Fail>>, Fail> {
    let prepared = try_join_all(steps.iter().map(|step| client.prepare_cached(&step.sql))).await?;
    let mut running: Vec<Running<'_>> = Vec::with_capacity(steps.len());
    for (step, statement) in steps.iter().zip(&prepared) {
        running.push(Box::pin(async move {
            let mut rows = Box::pin(client.query_raw(statement, step.parameters()).await?);
            let mut found = Vec::new();
            while let Some(row) = rows.try_next().await? {
                found.push(row);
            }
            let affected = rows.rows_affected().unwrap_or(0);
            Ok(Answer {
                rows: found,
                affected,
            })
        }));
    }
    // A statement is sent when it is polled for the first time.
    let mut begun = Vec::with_capacity(running.len());
    for future in &mut running {
        begun.push(match poll!(future) {
            std::task::Poll::Ready(answer) => Some(answer),
            std::task::Poll::Pending => None,
        });
    }
    let mut answers = VecDeque::with_capacity(running.len());
    for (answer, future) in begun.into_iter().zip(running) {
        answers.push_back(match answer {
            Some(answer) => answer,
            None => future.await,
        });
    }
    Ok(answers)
}

/// The same, where every statement has to succeed.
pub(super) async fn all(client: &ClientWrapper, steps: &[Step<'_>]) -> Result<Vec<Answer>, Fail> {
    pipeline(client, steps).await?.into_iter().collect()
}

/// An id that is a UUID.
pub(super) trait Id: Copy {
    fn of(uuid: Uuid) -> Self;
}

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl Id for $name {
            fn of(uuid: Uuid) -> Self { Self(uuid) }
        }
    )*};
}
ids!(AgentId CommandId ContactId ConversationId GroupId MessageId ThreadId TicketId TokenId);

/// A row, read from left to right.
pub(super) struct Columns<'a> {
    row: &'a Row,
    next: usize,
}

impl<'a> Columns<'a> {
    pub(super) fn new(row: &'a Row) -> Self {
        Self { row, next: 0 }
    }

    /// Leaves out the next columns.
    pub(super) fn skip(&mut self, columns: usize) {
        self.next += columns;
    }

    /// Whether the next column is there: an outer join fills with nothing.
    pub(super) fn is_there(&self) -> Result<bool, Fail> {
        Ok(self.row.try_get::<_, Option<Uuid>>(self.next)?.is_some())
    }

    /// The next column as it is.
    pub(super) fn get<T: FromSql<'a>>(&mut self) -> Result<T, Fail> {
        let value = self.row.try_get(self.next)?;
        self.next += 1;
        Ok(value)
    }

    pub(super) fn id<I: Id>(&mut self) -> Result<I, Fail> {
        Ok(I::of(self.get()?))
    }

    pub(super) fn opt_id<I: Id>(&mut self) -> Result<Option<I>, Fail> {
        Ok(self.get::<Option<Uuid>>()?.map(I::of))
    }

    /// A number that is kept in 64 bits with a sign.
    pub(super) fn number<N: TryFrom<i64>>(&mut self) -> Result<N, Fail> {
        narrow(self.get()?)
    }

    pub(super) fn opt_number<N: TryFrom<i64>>(&mut self) -> Result<Option<N>, Fail> {
        self.get::<Option<i64>>()?.map(narrow).transpose()
    }

    /// A number that is kept in 32 bits with a sign.
    pub(super) fn small(&mut self) -> Result<u16, Fail> {
        narrow(self.get::<i32>()?.into())
    }

    pub(super) fn time(&mut self) -> Result<Time, Fail> {
        Ok(Time::from_ms(self.get()?))
    }

    pub(super) fn opt_time(&mut self) -> Result<Option<Time>, Fail> {
        Ok(self.get::<Option<i64>>()?.map(Time::from_ms))
    }

    pub(super) fn channel(&mut self) -> Result<ChannelId, Fail> {
        ChannelId::new(self.get()?).map_err(|error| Fail::Store(error.to_string()))
    }

    pub(super) fn json<T: DeserializeOwned>(&mut self) -> Result<T, Fail> {
        Ok(serde_json::from_str(self.get()?)?)
    }

    pub(super) fn opt_json<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Fail> {
        Ok(self
            .get::<Option<&str>>()?
            .map(serde_json::from_str)
            .transpose()?)
    }

    /// One of a closed list of words.
    pub(super) fn word<T>(&mut self, from: impl FnOnce(&str) -> Option<T>) -> Result<T, Fail> {
        let word: &str = self.get()?;
        from(word).ok_or_else(|| Fail::Store(format!("a row has the unknown word `{word}`")))
    }

    pub(super) fn bytes(&mut self) -> Result<bytes::Bytes, Fail> {
        Ok(bytes::Bytes::copy_from_slice(self.get()?))
    }
}

fn narrow<N: TryFrom<i64>>(number: i64) -> Result<N, Fail> {
    N::try_from(number).map_err(|_| Fail::Store(format!("a row has the number {number}")))
}

/// A value as JSON text.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Fail> {
    serde_json::to_string(value).map_err(|error| Fail::refused(error.to_string()))
}

/// A number of ours in 64 bits with a sign; [`crate::check`] has refused larger ones.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Whether a text can be in any row: none can hold U+0000.
pub(super) fn can_be(text: &str) -> bool {
    !text.contains('\0')
}

/// One column of many rows.
pub(super) fn column<'a, T: 'a, V>(
    rows: impl IntoIterator<Item = &'a T>,
    value: impl FnMut(&'a T) -> V,
) -> Vec<V> {
    rows.into_iter().map(value).collect()
}
