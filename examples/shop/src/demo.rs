//! The demo: four companies and two people who sign in.

use futures_util::future::{try_join, try_join_all};
use sea_orm::{ActiveValue::Set, DbErr, EntityTrait, PaginatorTrait, sea_query::OnConflict};
use tenantry::{Isolation, NewTenant, SharedDb, Tenant, TenantDb, TenantFilter, TenantTx, Tenantry};

use crate::{
    accounts,
    entity::{account, item, order, product, user},
    failure::Failure,
    money::Money,
};

/// A demo tenant with its rows, whose ids the database counts from 1.
struct Company {
    key: &'static str,
    users: &'static [&'static str],
    products: &'static [(&'static str, Money)],
    items: &'static [(&'static str, Money)],
    /// Of which item, and how many.
    orders: &'static [(i64, i64)],
}

const COMPANIES: [Company; 4] = [
    Company {
        key: "tenant_a",
        users: &["userA", "userB"],
        products: &[("Espresso", Money::new(2, 40)), ("Flat white", Money::new(3, 90))],
        items: &[("Coffee beans, 1 kg", Money::new(18, 50)), ("Paper cups, 50", Money::new(4, 25))],
        orders: &[(1, 2), (2, 10)],
    },
    Company {
        key: "tenant_b",
        users: &["userA", "userC"],
        products: &[("Puncture repair", Money::new(15, 0))],
        items: &[("Inner tube", Money::new(6, 95)), ("Chain oil", Money::new(9, 99))],
        orders: &[(1, 4)],
    },
    Company {
        key: "client1",
        users: &["anna", "ben"],
        products: &[("Website", Money::new(1200, 0)), ("Hosting, a month", Money::new(12, 50))],
        items: &[("Desk", Money::new(349, 0)), ("Lamp", Money::new(39, 95))],
        orders: &[(1, 2), (2, 3)],
    },
    Company {
        key: "client2",
        users: &["carla", "dan"],
        products: &[("Bread", Money::new(4, 80))],
        items: &[("Flour, 25 kg", Money::new(21, 75)), ("Salt, 1 kg", Money::new(0, 89))],
        orders: &[(1, 8), (2, 5), (1, 1)],
    },
];

/// Who signs in, and of which company.
const PEOPLE: [(&str, &str); 2] = [("client1@shop.test", "client1"), ("client2@shop.test", "client2")];

pub(crate) const PASSWORD: &str = "demo";

/// Makes the demo, if it has not been made and there are no tenants of others.
///
/// Each step looks before it writes, and the accounts come last: killed half way, the next start goes on from there;
/// and what an operator does to the demo later is not undone. Says whether there is one.
pub(crate) async fn make(tenancy: &Tenantry, isolation: Option<Isolation>) -> Result<bool, Failure> {
    let shared = tenancy.shared().await?;
    if is_made(&shared).await? {
        return Ok(true);
    }
    if others_live_here(tenancy).await? {
        return Ok(false);
    }
    let companies = try_join_all(COMPANIES.iter().map(|company| open_company(tenancy, company, isolation)));
    let hashes = try_join_all(PEOPLE.map(|_| accounts::hash(PASSWORD)));
    let (companies, hashes) = try_join(companies, hashes).await?;
    add_people(&shared, &companies, &hashes).await?;
    Ok(true)
}

async fn is_made(shared: &SharedDb) -> tenantry::Result<bool> {
    Ok(account::Entity::find().count(shared).await? > 0)
}

async fn others_live_here(tenancy: &Tenantry) -> tenantry::Result<bool> {
    let is_demo = |tenant: &Tenant| COMPANIES.iter().any(|company| company.key == tenant.key.as_str());
    Ok(!tenancy.tenant_list(&TenantFilter::all()).await?.iter().all(is_demo))
}

async fn open_company(tenancy: &Tenantry, company: &Company, isolation: Option<Isolation>) -> Result<Tenant, Failure> {
    let mut new = NewTenant::new(company.key)?;
    if let Some(isolation) = isolation {
        new = new.isolation(isolation);
    }
    match tenancy.tenant_create(new).await {
        // A start that was killed had come further than this.
        Err(error) if error.is_taken() => {}
        created => drop(created?),
    }
    let db = tenancy.tenant(company.key).await?;
    furnish(&db, company).await?;
    Ok(db.tenant().clone())
}

/// All of a company's rows in one transaction: they are there, or they are not.
async fn furnish(db: &TenantDb, company: &Company) -> tenantry::Result<()> {
    let tx = db.begin().await?;
    if user::Entity::find().count(&tx).await? > 0 {
        return tx.commit().await;
    }
    match insert_rows(&tx, company).await.map_err(tenantry::Error::from) {
        Ok(()) => tx.commit().await,
        // Another shop on the same installation was faster.
        Err(error) if error.is_duplicate() => tx.rollback().await,
        Err(error) => Err(error),
    }
}

async fn insert_rows(tx: &TenantTx, company: &Company) -> Result<(), DbErr> {
    let users =
        company.users.iter().map(|&name| user::ActiveModel { username: Set(name.into()), ..Default::default() });
    let products = company.products.iter().map(|&(name, price)| product::ActiveModel {
        name: Set(name.into()),
        price: Set(price),
        ..Default::default()
    });
    let items = company.items.iter().map(|&(description, price)| item::ActiveModel {
        description: Set(description.into()),
        price: Set(price),
        ..Default::default()
    });
    let orders = company.orders.iter().map(|&(item_id, quantity)| order::ActiveModel {
        item_id: Set(item_id),
        quantity: Set(quantity),
        ..Default::default()
    });
    user::Entity::insert_many(users).exec(tx).await?;
    product::Entity::insert_many(products).exec(tx).await?;
    item::Entity::insert_many(items).exec(tx).await?;
    order::Entity::insert_many(orders).exec(tx).await?;
    Ok(())
}

async fn add_people(shared: &SharedDb, companies: &[Tenant], hashes: &[String]) -> tenantry::Result<()> {
    let people = PEOPLE.iter().zip(hashes).filter_map(|(&(email, key), hash)| {
        let company = companies.iter().find(|company| company.key.as_str() == key)?;
        Some(account::ActiveModel {
            email: Set(email.into()),
            password_hash: Set(hash.clone()),
            organisation: Set(company.id.to_string()),
            ..Default::default()
        })
    });
    // Another shop on the same installation may have been faster.
    let once = OnConflict::column(account::Column::Email).do_nothing().to_owned();
    account::Entity::insert_many(people).on_conflict(once).exec_without_returning(shared).await?;
    Ok(())
}
