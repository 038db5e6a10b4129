//! The catalog's tables, as one text for every engine.

#![expect(unreachable_pub, reason = "SeaORM's derives write `pub` themselves")]

/// Tenants, and their place.
pub(super) mod tenant {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "tenants")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(36))")]
        pub id: String,
        /// Compared by its exact bytes on every engine.
        #[sea_orm(unique, column_type = "String(StringLen::N(63))")]
        pub key: String,
        pub state: String,
        pub isolation: String,
        #[sea_orm(indexed)]
        pub server: String,
        #[sea_orm(column_type = "String(StringLen::N(63))")]
        pub physical: String,
        /// The number of the shared login on whose connections it is reached.
        pub login: Option<i32>,
        /// The sealed password of its own login.
        #[sea_orm(column_type = "Text", nullable)]
        pub password: Option<String>,
        pub version: i64,
        /// Why the last migration of this tenant failed.
        pub failure: Option<String>,
        pub was_suspended: bool,
        pub created_at: i64,
        pub deleted_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Custom domains.
pub(super) mod domain {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "domains")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(253))")]
        pub host: String,
        #[sea_orm(indexed)]
        pub tenant_id: String,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Database servers; their URLs are sealed.
pub(super) mod server {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "servers")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(63))")]
        pub name: String,
        pub engine: String,
        #[sea_orm(column_type = "Text")]
        pub admin_url: String,
        #[sea_orm(column_type = "Text", nullable)]
        pub app_url: Option<String>,
        pub capacity: Option<i64>,
        pub connections: Option<i64>,
        pub pooler: bool,
        /// The version of the shared tables on this server.
        pub shared_version: i64,
        pub created_at: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// The journal of operations.
pub(super) mod operation {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "operations")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false, column_type = "String(StringLen::N(36))")]
        pub id: String,
        pub kind: String,
        #[sea_orm(indexed)]
        pub tenant_id: String,
        /// The tenant's id while it runs, so that a unique index allows one at a time.
        #[sea_orm(unique, nullable)]
        pub running_on: Option<String>,
        pub state: String,
        /// How many steps are done, as programs count that do not know `step_name`.
        pub step: i32,
        pub owner: String,
        pub lease_until: i64,
        #[sea_orm(column_type = "Text", nullable)]
        pub error: Option<String>,
        pub created_at: i64,
        pub updated_at: i64,
        /// The last step that is done. None, or a program wrote the row that only knows `step`.
        #[sea_orm(column_type = "Text", nullable)]
        pub step_name: Option<String>,
        /// What it was given, what its steps leave for each other, how far it is, and what came of it: see
        /// [`Record`](super::super::journal::Record). None of a program before version 4.
        #[sea_orm(column_type = "Text", nullable)]
        pub input: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub kept: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub progress: Option<String>,
        #[sea_orm(column_type = "Text", nullable)]
        pub result: Option<String>,
        /// When somebody asked that it be cancelled.
        pub cancel_at: Option<i64>,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Who did what, and at once the log of changes that other processes follow.
pub(super) mod audit {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "audit")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub epoch: i64,
        pub at: i64,
        pub actor: String,
        pub action: String,
        pub outcome: String,
        pub tenant_id: Option<String>,
        /// The names under which a cache may hold what changed.
        #[sea_orm(column_type = "Text")]
        pub names: String,
        #[sea_orm(column_type = "Text")]
        pub detail: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// Names that were given up a moment ago.
pub(super) mod quarantine {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "quarantine")]
    pub struct Model {
        /// As in the change log: `key:acme`, `domain:acme.test`.
        #[sea_orm(primary_key, auto_increment = false)]
        pub name: String,
        pub until: i64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}

/// One row: whose catalog this is, and its epoch.
pub(super) mod installation {
    use sea_orm::entity::prelude::*;

    #[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
    #[sea_orm(table_name = "installation")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub one: i32,
        pub id: String,
        pub schema_version: i32,
        pub epoch: i64,
        /// A sealed word, to tell a wrong key at once.
        pub key_check: String,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}
    impl ActiveModelBehavior for ActiveModel {}
}
