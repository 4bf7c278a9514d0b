//! Tokens: only their SHA-256 is kept.

use patchbay_message::{Time, TokenId};
use rusqlite::{Connection, params};

use super::super::{
    error::Fail,
    rows::{self, select_token},
    sql::{all, blob, ms, one, opt, opt_ms, run},
};
use crate::Token;

pub(super) fn valid(db: &Connection, sha256: &[u8; 32], now: Time) -> Result<Option<Token>, Fail> {
    one(
        db,
        select_token!(
            "WHERE sha256 = ?1 AND revoked_at IS NULL AND coalesce(expires_at > ?2, 1)
                 AND coalesce((SELECT active FROM agent WHERE agent.id = token.agent), 1)"
        ),
        params![sha256, ms(now)],
        rows::token,
    )
}

pub(super) fn load(db: &Connection) -> Result<Vec<Token>, Fail> {
    all(
        db,
        select_token!("ORDER BY created_at, id"),
        [],
        rows::token,
    )
}

pub(super) fn save(db: &Connection, token: &Token, sha256: &[u8; 32]) -> Result<(), Fail> {
    run(
        db,
        "INSERT INTO token (id, sha256, name, role, agent, created_at, expires_at, revoked_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            blob(&token.id),
            sha256,
            token.name,
            token.role.as_str(),
            opt(token.agent_id.as_ref()),
            ms(token.created_at),
            opt_ms(token.expires_at),
            opt_ms(token.revoked_at),
        ],
    )?;
    Ok(())
}

pub(super) fn revoke(db: &Connection, id: TokenId, now: Time) -> Result<bool, Fail> {
    let changed = run(
        db,
        "UPDATE token SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1",
        params![blob(&id), ms(now)],
    )?;
    Ok(changed > 0)
}
