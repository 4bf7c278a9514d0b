//! Tokens that adapters need to send: fetched once for all processes and channels of an account, kept
//! in the store, refreshed early, and renewed when the provider refuses one.
//!
//! A token has a generation. Who was refused says with which one; whoever comes with a generation
//! that has been replaced meanwhile just gets the new token, so that one refusal is one renewal
//! however many messages met it. Tokens reach neither exchanges, nor logs, nor dead letters.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use patchbay_sdk::{Cx, Exchange, Secret, SendError, Token, TokenName};
use patchbay_store::{ProviderToken, StoreError, TokenFetch};
use tokio::time::{Instant, timeout};

use self::failure::{pause, told_by, write};
use crate::{
    OpenChannel,
    errand::{Came, Errand, Errands, wrong},
    meter,
};

mod failure;
mod lent;

pub(crate) use lent::{Lent, NoToken, Present};

/// Bounds of fetching tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenOptions {
    /// How long one fetch may take, all its requests together.
    pub fetch_timeout: Duration,
    /// How long nobody else fetches while one does, should it die over it. Longer than
    /// `fetch_timeout`.
    pub claim_ttl: Duration,
    /// How long a message waits in memory for a fetch under way elsewhere, before it is parked.
    pub wait_max: Duration,
    /// How far apart renewals of one account are, at least. `WeChat` asks for 30 s.
    pub renew_every: Duration,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            fetch_timeout: Duration::from_secs(15),
            claim_ttl: Duration::from_secs(20),
            wait_max: Duration::from_secs(5),
            renew_every: Duration::from_secs(35),
        }
    }
}

/// Between two looks at what another process fetches.
const POLL: Duration = Duration::from_millis(50);
/// Before the store is asked again after it failed.
const STORE_PAUSE: Duration = Duration::from_secs(1);
/// How soon a message comes back that waited in vain for somebody else's fetch.
const COME_BACK: Duration = Duration::from_secs(1);
/// How soon somebody looks again after an early refresh that brought nothing.
const EARLY_AGAIN: Duration = Duration::from_secs(1);
/// A token counts as good for this long at least: no provider makes us fetch for every message.
const LIFE_MIN: Duration = Duration::from_secs(1);

/// Every account's token, as far as this process knows it.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    options: TokenOptions,
    accounts: Mutex<HashMap<String, Arc<Account>>>,
}

#[derive(Debug, Default)]
struct Account {
    present: Mutex<Option<Present>>,
    /// One of this process at a time asks the store or fetches.
    asking: tokio::sync::Mutex<()>,
}

/// Whose token is to be got, and why.
struct Wanted<'a> {
    errands: &'a Errands,
    channel: &'a OpenChannel,
    name: TokenName,
    key: &'a str,
    account: &'a Account,
    /// The provider refuses this generation and those before it.
    refused: Option<u64>,
}

/// What came of one look.
enum Look {
    Have(Present),
    /// Somebody else is fetching.
    Elsewhere,
}

impl Tokens {
    pub(crate) fn new(options: TokenOptions) -> Self {
        Self {
            options,
            accounts: Mutex::default(),
        }
    }

    /// The present token; fetched if there is none, or none after the one that was refused.
    pub(crate) async fn get(
        &self,
        errands: &Errands,
        channel: &OpenChannel,
        name: TokenName,
        refused: Option<u64>,
    ) -> Result<Present, NoToken> {
        let Some(key) = channel.channel.token_account(name) else {
            return Err(SendError::Unsupported.into());
        };
        let account = self.accounts.lock().entry(key.clone()).or_default().clone();
        let wanted = Wanted {
            errands,
            channel,
            name,
            key: &key,
            account: &account,
            refused,
        };
        match account.good(refused) {
            Some(present) if present.is_early() => Ok(self.early(&wanted, present).await),
            Some(present) => Ok(present),
            None => self.wait(&wanted).await,
        }
    }

    /// Refreshes a token that is still good, unless somebody does; whoever it is, the others go on
    /// with the one there is.
    async fn early(&self, wanted: &Wanted<'_>, present: Present) -> Present {
        let Ok(_asking) = wanted.account.asking.try_lock() else {
            return present;
        };
        let found = self.look(wanted, true).await;
        if let Ok(Look::Have(newer)) = found {
            return newer;
        }
        wanted.account.early_again();
        present
    }

    async fn wait(&self, wanted: &Wanted<'_>) -> Result<Present, NoToken> {
        let give_up = Instant::now() + self.options.wait_max;
        let elsewhere = || NoToken::not_now("its token is being fetched", COME_BACK);
        // Whoever has the turn may be fetching: no longer than that.
        let turn_max = self.options.wait_max + self.options.fetch_timeout;
        let asking = timeout(turn_max, wanted.account.asking.lock());
        let _asking = asking.await.map_err(|_| elsewhere())?;
        loop {
            if let Some(present) = wanted.account.good(wanted.refused) {
                return Ok(present);
            }
            if let Look::Have(present) = self.look(wanted, false).await? {
                return Ok(present);
            }
            if Instant::now() >= give_up {
                return Err(elsewhere());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Takes what the store has; fetches if it has none that is wanted and nobody else does.
    async fn look(&self, wanted: &Wanted<'_>, is_early: bool) -> Result<Look, NoToken> {
        let store = &wanted.errands.store;
        let found = store
            .provider_token(wanted.key)
            .await
            .map_err(|error| away(&error))?;
        let found = found.unwrap_or_else(nothing);
        wanted.account.learn(&found);
        if let Some(present) = wanted.account.good(wanted.refused)
            && !(is_early && present.is_early())
        {
            return Ok(Look::Have(present));
        }
        if let Some(failure) = &found.failure
            && !found.retry_in.is_zero()
        {
            return Err(told_by(failure, found.retry_in));
        }
        let is_refused = wanted.refused == Some(found.generation);
        let renew = is_refused && !found.left.is_zero();
        let every = renew.then_some(self.options.renew_every);
        if let (Some(every), Some(ago)) = (every, found.renewed)
            && ago < every
            && !found.fetching
        {
            let why = "the provider refuses a token that was renewed just now";
            return Err(NoToken::not_now(why, every - ago));
        }
        let who = &wanted.errands.instance;
        let ttl = self.options.claim_ttl;
        let claim = store.begin_token(wanted.key, found.generation, who, ttl, every);
        if !claim.await.map_err(|error| away(&error))? {
            return Ok(Look::Elsewhere);
        }
        self.fetch(wanted, &found, renew).await
    }

    /// Fetches by the right that was taken, and keeps what came of it.
    async fn fetch(
        &self,
        wanted: &Wanted<'_>,
        found: &ProviderToken,
        renew: bool,
    ) -> Result<Look, NoToken> {
        crash_before_fetch();
        let fetching = timeout(self.options.fetch_timeout, fetch(wanted, renew));
        let fetched = fetching
            .await
            .unwrap_or_else(|_| Err(SendError::Retry(None)));
        meter::token(wanted.channel.kind.id, failure::outcome(&fetched));
        let (account, kind) = (wanted.key, wanted.channel.kind.id);
        let fetch = match &fetched {
            Ok(token) => TokenFetch::Got {
                value: token.value.expose().to_owned(),
                expires_in: token.expires_in.max(LIFE_MIN),
                renewed: renew,
            },
            Err(error) => {
                let retry_in = pause(error, found.failures + 1);
                tracing::warn!(account, kind, %error, ?retry_in, "token not fetched");
                TokenFetch::Failed {
                    failure: write(error),
                    retry_in,
                }
            }
        };
        let (who, generation) = (&wanted.errands.instance, found.generation);
        let store = &wanted.errands.store;
        let kept = store.end_token(account, generation, who, &fetch);
        let is_kept = kept.await.map_err(|error| away(&error))?;
        if let (TokenFetch::Failed { retry_in, .. }, Err(error)) = (&fetch, fetched) {
            return Err(failure::told(error, *retry_in));
        }
        if !is_kept {
            // Somebody else's counts by now.
            return Ok(Look::Elsewhere);
        }
        tracing::info!(account, kind, renew, "token fetched");
        let found = store
            .provider_token(account)
            .await
            .map_err(|error| away(&error))?;
        wanted.account.learn(&found.unwrap_or_else(nothing));
        let present = wanted.account.good(wanted.refused);
        Ok(present.map_or(Look::Elsewhere, Look::Have))
    }
}

async fn fetch(wanted: &Wanted<'_>, renew: bool) -> Result<Token, SendError> {
    let Wanted { channel, name, .. } = *wanted;
    let mut errand = Errand::new(wanted.errands, channel, &wanted.errands.http);
    // The adapter sees by it whether the provider has another one by now.
    let refused = wanted.account.present.lock().clone().filter(|_| renew);
    if let Some(refused) = refused {
        errand.lent.put(name, refused);
    }
    let ask = |cx: &Cx<'_>, past: &[Exchange]| channel.channel.token(cx, name, renew, past);
    match errand.go(&ask).await? {
        Came::Done(token) if token.value.expose().is_empty() => {
            Err(wrong("the adapter made an empty token of the answer"))
        }
        Came::Done(token) => Ok(token),
        Came::Need(other) => Err(wrong(&format!("a token is fetched without `{other}`"))),
    }
}

impl Account {
    /// The token, if it is good and newer than the one that was refused.
    fn good(&self, refused: Option<u64>) -> Option<Present> {
        let present = self.present.lock();
        let is_good = |present: &&Present| {
            present.is_good() && refused.is_none_or(|refused| present.generation > refused)
        };
        present.as_ref().filter(is_good).cloned()
    }

    fn learn(&self, found: &ProviderToken) {
        if let Some(value) = &found.value {
            let value = Secret::new(value.clone());
            let life = Present::new(value, found.generation, found.age, found.left);
            *self.present.lock() = Some(life);
        }
    }

    fn early_again(&self) {
        if let Some(present) = &mut *self.present.lock() {
            present.early_at = Instant::now() + EARLY_AGAIN;
        }
    }
}

/// What is known before anybody asked.
fn nothing() -> ProviderToken {
    ProviderToken {
        value: None,
        generation: 0,
        age: Duration::ZERO,
        left: Duration::ZERO,
        renewed: None,
        fetching: false,
        failures: 0,
        failure: None,
        retry_in: Duration::ZERO,
    }
}

fn away(error: &StoreError) -> NoToken {
    tracing::warn!(%error, "store unavailable, no token");
    NoToken::not_now("its token cannot be looked up", STORE_PAUSE)
}

/// Crash tests stop the process here: the right to fetch is taken, nothing is fetched.
fn crash_before_fetch() {
    fail::fail_point!("sinks::claimed_token", |_| std::process::abort());
}
