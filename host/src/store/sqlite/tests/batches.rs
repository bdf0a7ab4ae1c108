//! Group commit: who shares a transaction with whom, and what becomes of it when it goes wrong.

use std::fs;
use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::*;
use crate::store::sqlite::connection::open_reader;
use crate::store::{Error, Result, Settings as _};

type Job = Pin<Box<dyn Future<Output = Result<()>> + Send>>;

/// Queues all these while the writer is busy, so that they come to one batch, in this order.
async fn batch(store: &Arc<Scratch>, jobs: Vec<Job>) -> Vec<Result<()>> {
    let (release, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let (started, running) = tokio::sync::oneshot::channel();
    let started = std::sync::Mutex::new(Some(started));
    let blocker = tokio::spawn({
        let store = Arc::clone(store);
        async move {
            store
                .writer
                .write(move |_| {
                    started.lock().unwrap().take().unwrap().send(()).unwrap();
                    released.lock().unwrap().recv().unwrap();
                    Ok(())
                })
                .await
        }
    });
    running.await.unwrap();
    let mut waiting = Vec::new();
    for mut job in jobs {
        // The first poll puts it into the queue.
        let polled = std::future::poll_fn(|context| {
            std::task::Poll::Ready(job.as_mut().poll(context).is_pending())
        });
        assert!(polled.await);
        waiting.push(job);
    }
    release.send(()).unwrap();
    blocker.await.unwrap().unwrap();
    let mut results = Vec::new();
    for job in waiting {
        results.push(job.await);
    }
    results
}

fn accounts_seen(store: &Scratch) -> i64 {
    accounts_in(&store.directory.path().join("certdock.db"))
}

fn accounts_in(path: &Path) -> i64 {
    let connection = open_reader(path).unwrap();
    let count = "SELECT count(*) FROM accounts";
    connection.query_row(count, [], |row| row.get(0)).unwrap()
}

fn create(store: &Arc<Scratch>, account: Account) -> Job {
    let store = Arc::clone(store);
    Box::pin(async move { store.create_account(account).await.map(drop) })
}

#[tokio::test]
async fn those_who_wait_share_one_transaction() {
    let store = Arc::new(scratch());
    let mut jobs: Vec<_> = (0..10).map(|seed| create(&store, account(seed))).collect();
    let (seen, sight) = mpsc::channel();
    let watcher = Arc::clone(&store);
    let watch: Job = Box::pin(async move {
        let path = watcher.directory.path().join("certdock.db");
        let look = move |_: &_| {
            seen.send(accounts_in(&path)).unwrap();
            Ok(())
        };
        watcher.writer.write(look).await
    });
    // Half of them have been written when it looks, and none is to be seen.
    jobs.insert(5, watch);
    for result in batch(&store, jobs).await {
        result.unwrap();
    }
    assert_eq!(sight.recv().unwrap(), 0);
    assert_eq!(accounts_seen(&store), 10);
}

#[tokio::test]
async fn one_that_fails_fails_alone() {
    let store = Arc::new(scratch());
    let twin = account(0).id;
    let jobs = [(1, Some(twin)), (2, None), (3, Some(twin)), (4, None)]
        .map(|(seed, id)| {
            let mut account = account(seed);
            account.id = id.unwrap_or(account.id);
            create(&store, account)
        })
        .into();
    for (index, result) in batch(&store, jobs).await.into_iter().enumerate() {
        match result {
            Ok(()) => assert_ne!(index, 2),
            Err(error) => assert!(index == 2 && matches!(error, Error::Write(_)), "{error:?}"),
        }
    }
    assert_eq!(accounts_seen(&store), 3);
}

#[tokio::test]
async fn a_commit_that_fails_fails_for_all_in_it() {
    let store = Arc::new(scratch());
    let poisoner = Arc::clone(&store);
    let poison: Job = Box::pin(async move {
        // A constraint that is looked at only by COMMIT.
        let sql = "PRAGMA defer_foreign_keys = on;
            INSERT INTO certificates VALUES (x'00', x'00', NULL, 'e', 'h', x'00', x'00', '[]',
            0, 0, 0, x'00', x'00', NULL, NULL, 0)";
        poisoner.writer.write(|on| Ok(on.execute_batch(sql)?)).await
    });
    let jobs = vec![
        create(&store, account(1)),
        poison,
        create(&store, account(3)),
    ];
    for result in batch(&store, jobs).await {
        assert!(matches!(result, Err(Error::Write(_))), "{result:?}");
    }
    assert_eq!(accounts_seen(&store), 0);
    store.create_account(account(1)).await.unwrap();
    assert_eq!(accounts_seen(&store), 1);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_loses_nothing() {
    let store = scratch();
    let limit = |pages: i64| {
        store.writer.write(move |on| {
            let sql = format!("PRAGMA max_page_count = {pages}");
            Ok(on.query_row(&sql, [], |row| row.get::<_, i64>(0))?)
        })
    };
    let (first, _) = open_order(&store).await;
    // A limit below what there is means what there is.
    limit(limit(1).await.unwrap() + 10).await.unwrap();
    let mut stored = vec![first.id];
    let error = loop {
        assert!(stored.len() < 10_000);
        let authorization = authorization(first.account, "b.example");
        let order = order(first.account, std::slice::from_ref(&authorization));
        let id = order.id;
        match store.create_order(order, vec![authorization]).await {
            Ok(()) => stored.push(id),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Write(_)), "{error:?}");
    assert!(error.to_string().contains("full"), "{error}");
    for id in &stored {
        assert!(store.order(*id).await.unwrap().is_some());
    }
    limit(1 << 30).await.unwrap();
    let (later, _) = order_of(&store, first.account).await;
    stored.push(later.id);
    let mut listed = store
        .orders_of_account(first.account, None, 100_000)
        .await
        .unwrap();
    listed.sort();
    stored.sort();
    assert_eq!(listed, stored);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_what_waits_and_refuses_the_rest() {
    let store = Arc::new(scratch());
    let writes: Vec<_> = (0..200)
        .map(|seed| {
            let store = Arc::clone(&store);
            tokio::spawn(async move { store.create_account(account(seed)).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(2)).await;
    let closer = Arc::clone(&store);
    std::thread::spawn(move || closer.close()).join().unwrap();
    let mut acknowledged = 0;
    for write in writes {
        match write.await.unwrap() {
            Ok(_) => acknowledged += 1,
            Err(error) => assert!(matches!(error, Error::Closed), "{error:?}"),
        }
    }
    assert_eq!(accounts_seen(&store), acknowledged);
    assert!(matches!(store.ping().await, Err(Error::Closed)));
    let log = store.directory.path().join("certdock.db-wal");
    assert_eq!(fs::metadata(log).map_or(0, |file| file.len()), 0);
}
