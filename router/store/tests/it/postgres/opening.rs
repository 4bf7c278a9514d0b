//! What is said at start, and how schemas of two versions live side by side.

use patchbay_message::MessageId;
use patchbay_store::{ConversationState, PostgresOptions, PostgresStore};

use super::{beside, connect, empty, shared};
use crate::world::{Dyn, LONG, opened, talk, ticket};

async fn refusal(url: &str) -> String {
    match PostgresStore::connect(url, PostgresOptions::default()).await {
        Ok(_) => panic!("{url} was accepted"),
        Err(error) => error.0,
    }
}

#[tokio::test]
async fn a_url_that_is_none_is_refused_without_telling_its_password() {
    for url in [
        "",
        "sqlite",
        "postgres://",
        "postgres://anna:sesame@/desk",
        "postgres://anna:sesame@db:port/desk",
        "postgres://anna:sesame@db/desk?sslmode=perhaps",
        "postgres://anna:sesame@db/desk?what=sesame",
        "postgres://anna:sesame@db/desk?sslmode=verify-full&sslrootcert=/nowhere",
        "postgres://:sesame@db/desk",
    ] {
        let said = refusal(url).await;
        assert!(!said.contains("sesame"), "{said}");
        assert!(!said.is_empty());
    }
    assert!(
        refusal("postgres://a@db/desk?sslmode=perhaps")
            .await
            .contains("verify-full"),
        "the possible words are named"
    );
}

#[tokio::test]
async fn what_waiting_does_not_mend_is_said_at_start() {
    let server = shared();
    let (base, _) = server.rsplit_once('/').unwrap();
    let no_database = format!("{base}/nowhere");
    assert!(refusal(&no_database).await.contains("nowhere"));

    let no_schema = format!("{server}?options=-csearch_path%3Dnowhere");
    assert!(refusal(&no_schema).await.contains("search path"));

    let latin = format!("latin{}", uuid::Uuid::now_v7().simple());
    let create = format!(
        "CREATE DATABASE {latin} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    );
    beside(&server).await.batch_execute(&create).await.unwrap();
    let said = refusal(&format!("{base}/{latin}")).await;
    assert!(said.contains("LATIN1") && said.contains("UTF8"), "{said}");
    let drop = format!("DROP DATABASE {latin} WITH (FORCE)");
    beside(&server).await.batch_execute(&drop).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_that_start_together_make_one_schema() {
    let url = empty().await;
    let stores = (0..8).map(|_| connect(&url, PostgresOptions::default()));
    for store in futures_util::future::join_all(stores).await {
        assert_eq!(store.event_bounds().await.unwrap(), (0, 1));
    }
    let client = beside(&url).await;
    let steps = client
        .query("SELECT version FROM schema_version ORDER BY 1", &[])
        .await
        .unwrap();
    let steps: Vec<i32> = steps.iter().map(|row| row.get(0)).collect();
    assert_eq!(steps, (1..=steps.len() as i32).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_next_version_s_schema_is_used_and_a_later_one_refused() {
    let url = empty().await;
    let store: Dyn = connect(&url, PostgresOptions::default()).await;
    let client = beside(&url).await;
    let next = "INSERT INTO schema_version (version, name)
        SELECT max(version) + 1, 'a later step' FROM schema_version";
    client.batch_execute(next).await.unwrap();
    let next_to_it: Dyn = connect(&url, PostgresOptions::default()).await;
    for store in [store, next_to_it] {
        store
            .lease("timers", &patchbay_message::InstanceId::new(), LONG)
            .await
            .unwrap();
    }

    client.batch_execute(next).await.unwrap();
    let said = refusal(&url).await;
    assert!(said.contains("newer version"), "{said}");
}

/// What the first version has written is there, and can be gone on with.
#[tokio::test]
async fn a_store_of_the_first_version_is_brought_up_to_date() {
    let url = empty().await;
    let begin = include_str!("../../../migrations/postgres/0001_begin.sql");
    let as_it_was = format!(
        "{begin}
         CREATE TABLE schema_version (
             version int4 PRIMARY KEY, name text NOT NULL,
             applied_at timestamptz NOT NULL DEFAULT now()
         );
         INSERT INTO schema_version VALUES (1, 'begin');
         INSERT INTO message (id, conversation, thread, pos, kind, direction, sender, content, at,
             attempts)
         SELECT z, z, z, 1, 'note', 'inbound', '{{\"address\":\"a\"}}', '[]', 5, 0
         FROM (SELECT '00000000-0000-0000-0000-000000000000'::uuid AS z) nil;"
    );
    beside(&url).await.batch_execute(&as_it_was).await.unwrap();
    let store: Dyn = connect(&url, PostgresOptions::default()).await;
    let old = store.message(MessageId(uuid::Uuid::nil())).await.unwrap();
    assert_eq!(old.unwrap().expires_at, None);
    let machine = talk(&store, "press-7", ConversationState::Resolved).await;
    let row = opened(&store, ticket(&machine, "E42")).await;
    assert_eq!(row.number, 1);
}

#[tokio::test]
async fn a_column_added_by_the_next_version_disturbs_nobody() {
    let url = empty().await;
    let store: Dyn = connect(&url, PostgresOptions::default()).await;
    let talk = async || {
        let name = uuid::Uuid::now_v7().to_string();
        crate::world::talk(&store, &name, patchbay_store::ConversationState::New).await
    };
    let known = talk().await;
    assert!(
        store
            .conversation(known.conversation.id)
            .await
            .unwrap()
            .is_some()
    );
    let client = beside(&url).await;
    let tables = client
        .query(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()",
            &[],
        )
        .await
        .unwrap();
    assert!(tables.len() > 20);
    for table in tables {
        let expand = format!(
            "ALTER TABLE {} ADD COLUMN later int DEFAULT 0",
            table.get::<_, &str>(0)
        );
        client.batch_execute(&expand).await.unwrap();
    }
    // The statements that are prepared already go on, and so do new connections.
    for store in [
        Dyn::clone(&store),
        connect(&url, PostgresOptions::default()).await,
    ] {
        talk().await;
        let view = store.conversation(known.conversation.id).await.unwrap();
        assert_eq!(view.unwrap().contact, known.contact);
        store.channel_states().await.unwrap();
        store.gauges().await.unwrap();
    }
}
