//! The chapters of `docs/guide`, so that what they show is compiled, and run where it can be.

macro_rules! chapters {
    ($($name:ident: $file:literal;)*) => {
        $(
            #[doc = include_str!(concat!("../../../docs/guide/", $file))]
            mod $name {}
        )*
    };
}

chapters! {
    deploying: "deploying.md";
    errors: "errors.md";
    first_app: "first-app.md";
    jobs: "jobs.md";
    orm: "orm.md";
    production: "production.md";
    testing: "testing.md";
    transactions: "transactions.md";
}
