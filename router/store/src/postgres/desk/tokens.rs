//! Tokens: only their SHA-256 is kept.

use patchbay_message::{Time, TokenId};

use crate::{
    Token,
    postgres::{
        PostgresStore,
        error::Fail,
        rows::{self, select_token},
        sql::{Step, now_ms, params},
    },
};

const VALID: &str = concat!(
    select_token!("WHERE sha256 = $1 AND revoked_at IS NULL AND coalesce(expires_at > "),
    now_ms!(),
    ", true) AND coalesce((SELECT active FROM agent WHERE agent.id = token.agent), true)"
);

pub(super) async fn valid(store: &PostgresStore, sha256: &[u8; 32]) -> Result<Option<Token>, Fail> {
    let step = Step::new(VALID, params![&sha256[..]]);
    store.read(step).await?.one(rows::token)
}

pub(super) async fn load(store: &PostgresStore) -> Result<Vec<Token>, Fail> {
    let step = Step::bare(select_token!("ORDER BY created_at, id"));
    store.read(step).await?.all(rows::token)
}

pub(super) async fn save(
    store: &PostgresStore,
    token: &Token,
    sha256: &[u8; 32],
) -> Result<(), Fail> {
    let step = Step::new(
        "INSERT INTO token (id, sha256, name, role, agent, created_at, expires_at, revoked_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        params![
            token.id.0,
            &sha256[..],
            token.name.as_str(),
            token.role.as_str(),
            token.agent_id.map(|id| id.0),
            token.created_at.as_ms(),
            token.expires_at.map(Time::as_ms),
            token.revoked_at.map(Time::as_ms),
        ],
    );
    store.read(step).await.map(drop)
}

pub(super) async fn revoke(store: &PostgresStore, id: TokenId) -> Result<bool, Fail> {
    let step = Step::new(
        concat!(
            "UPDATE token SET revoked_at = coalesce(revoked_at, ",
            now_ms!(),
            ") WHERE id = $1"
        ),
        params![id.0],
    );
    Ok(store.read(step).await?.affected > 0)
}
