use super::open_enum::open_enum;

open_enum! {
    /// What an API key may do.
    ///
    /// ```
    /// use idpflare_management::Scope;
    ///
    /// assert_eq!(Scope::from("users:read"), Scope::UsersRead);
    /// assert_eq!(Scope::from("reports:read").as_str(), "reports:read");
    /// assert_eq!(Scope::KNOWN.len(), 11);
    /// ```
    pub enum Scope {
        /// `users:read`: list and read users, and what belongs to them.
        UsersRead = "users:read",
        /// `users:write`: create, change and block users; revoke what belongs to them.
        UsersWrite = "users:write",
        /// `users:delete`: delete users.
        UsersDelete = "users:delete",
        /// `api-keys:read`: list API keys.
        ApiKeysRead = "api-keys:read",
        /// `api-keys:write`: create API keys.
        ApiKeysWrite = "api-keys:write",
        /// `api-keys:delete`: revoke API keys.
        ApiKeysDelete = "api-keys:delete",
        /// `clients:read`: list and read OAuth clients.
        ClientsRead = "clients:read",
        /// `clients:write`: create and change OAuth clients; rotate their secrets.
        ClientsWrite = "clients:write",
        /// `clients:delete`: delete OAuth clients.
        ClientsDelete = "clients:delete",
        /// `audit:read`: read the audit log.
        AuditRead = "audit:read",
        /// `stats:read`: read statistics.
        StatsRead = "stats:read",
    }
}
