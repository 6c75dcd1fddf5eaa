use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use idpflare_layers::RetryBudget;

#[test]
fn by_default_there_are_100_retries_or_50_after_timeouts() {
    for (cost, retries) in [
        (RetryBudget::RETRY, 100),
        (RetryBudget::RETRY_AFTER_TIMEOUT, 50),
    ] {
        let budget = RetryBudget::default();
        let spent = (0..1000).filter(|_| budget.try_spend(cost)).count();
        assert_eq!(spent, retries);
        assert_eq!(budget.available(), Some(0));
    }
}

#[test]
fn a_cost_is_taken_whole_or_not_at_all() {
    let budget = RetryBudget::new(9);
    assert!(!budget.try_spend(10));
    assert!(budget.try_spend(5));
    assert!(!budget.try_spend(5));
    assert_eq!(budget.available(), Some(4));
    assert!(budget.try_spend(0));
}

#[test]
fn extremes() {
    let none = RetryBudget::new(0);
    assert!(!none.try_spend(RetryBudget::RETRY));
    none.refund(u32::MAX);
    assert_eq!(none.available(), Some(0));

    let most = RetryBudget::new(u32::MAX);
    assert!(most.try_spend(1));
    most.refund(u32::MAX);
    assert_eq!(most.available(), Some(u32::MAX));

    let unlimited = RetryBudget::unlimited();
    assert!((0..10_000).all(|_| unlimited.try_spend(u32::MAX)));
    unlimited.refund(u32::MAX);
    assert_eq!(unlimited.available(), None);
}

/// The same steps on a plain number.
#[test]
fn it_does_what_its_model_does() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        u32::try_from(random % below).expect("small")
    };
    for _ in 0..200 {
        let capacity = next(50);
        let (budget, mut model) = (RetryBudget::new(capacity), capacity);
        let clones = [budget.clone(), budget.clone(), budget];
        for _ in 0..200 {
            let (clone, amount) = (&clones[next(3) as usize], next(20));
            if next(2) == 0 {
                let can = amount <= model;
                assert_eq!(clone.try_spend(amount), can);
                model -= if can { amount } else { 0 };
            } else {
                clone.refund(amount);
                model = (model + amount).min(capacity);
            }
            assert!(clones.iter().all(|clone| clone.available() == Some(model)));
        }
    }
}

#[test]
fn threads_never_overdraw_it() {
    const CAPACITY: u32 = 100;
    let budget = RetryBudget::new(CAPACITY);
    let (spent, refunded) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    thread::scope(|scope| {
        for thread in 0..4_u32 {
            let (budget, spent, refunded) = (budget.clone(), spent.clone(), refunded.clone());
            scope.spawn(move || {
                for round in 0..20_000_u32 {
                    let cost = 5 + 5 * ((round + thread) % 2);
                    if budget.try_spend(cost) {
                        spent.fetch_add(cost.into(), Ordering::SeqCst);
                        // Only what was taken comes back, so none of it is cut off.
                        if round % 3 != 0 {
                            refunded.fetch_add(cost.into(), Ordering::SeqCst);
                            budget.refund(cost);
                        }
                    }
                    assert!(budget.available() <= Some(CAPACITY));
                }
            });
        }
    });
    let (spent, refunded) = (
        spent.load(Ordering::SeqCst),
        refunded.load(Ordering::SeqCst),
    );
    let left = budget.available().expect("limited");
    assert_eq!(u64::from(left) + spent - refunded, CAPACITY.into());
}
