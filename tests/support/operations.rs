//! From the name of an operation to its type.

/// Calls `$function::<R>(…)` with the request type `R` of the operation whose id is `$id`; `None`
/// where there is no such operation.
macro_rules! with_operation {
    ($id:expr, $function:ident($($argument:expr),* $(,)?)) => {
        match $id {
            "listUsers" => Some($function::<idpflare_management::ListUsers>($($argument),*)),
            "getUser" => Some($function::<idpflare_management::GetUser>($($argument),*)),
            "createUser" => Some($function::<idpflare_management::CreateUser>($($argument),*)),
            "updateUser" => Some($function::<idpflare_management::UpdateUser>($($argument),*)),
            "deleteUser" => Some($function::<idpflare_management::DeleteUser>($($argument),*)),
            "updateUserPassword" => Some($function::<idpflare_management::UpdateUserPassword>($($argument),*)),
            "blockUser" => Some($function::<idpflare_management::BlockUser>($($argument),*)),
            "unblockUser" => Some($function::<idpflare_management::UnblockUser>($($argument),*)),
            "listUserSessions" => Some($function::<idpflare_management::ListUserSessions>($($argument),*)),
            "revokeUserSession" => Some($function::<idpflare_management::RevokeUserSession>($($argument),*)),
            "revokeAllUserSessions" => Some($function::<idpflare_management::RevokeAllUserSessions>($($argument),*)),
            "getUserMfaEnrollments" => Some($function::<idpflare_management::GetUserMfaEnrollments>($($argument),*)),
            "resetUserMfa" => Some($function::<idpflare_management::ResetUserMfa>($($argument),*)),
            "listUserIdentities" => Some($function::<idpflare_management::ListUserIdentities>($($argument),*)),
            "unlinkUserIdentity" => Some($function::<idpflare_management::UnlinkUserIdentity>($($argument),*)),
            "listUserTokens" => Some($function::<idpflare_management::ListUserTokens>($($argument),*)),
            "revokeAllUserTokens" => Some($function::<idpflare_management::RevokeAllUserTokens>($($argument),*)),
            "listApiKeys" => Some($function::<idpflare_management::ListApiKeys>($($argument),*)),
            "createApiKey" => Some($function::<idpflare_management::CreateApiKey>($($argument),*)),
            "revokeApiKey" => Some($function::<idpflare_management::RevokeApiKey>($($argument),*)),
            "listClients" => Some($function::<idpflare_management::ListClients>($($argument),*)),
            "getClient" => Some($function::<idpflare_management::GetClient>($($argument),*)),
            "createClient" => Some($function::<idpflare_management::CreateClient>($($argument),*)),
            "updateClient" => Some($function::<idpflare_management::UpdateClient>($($argument),*)),
            "deleteClient" => Some($function::<idpflare_management::DeleteClient>($($argument),*)),
            "rotateClientSecret" => Some($function::<idpflare_management::RotateClientSecret>($($argument),*)),
            "queryAuditLogs" => Some($function::<idpflare_management::QueryAuditLogs>($($argument),*)),
            "getUserAuditLogs" => Some($function::<idpflare_management::GetUserAuditLogs>($($argument),*)),
            "getUserSecurityEvents" => Some($function::<idpflare_management::GetUserSecurityEvents>($($argument),*)),
            "getUserStats" => Some($function::<idpflare_management::GetUserStats>($($argument),*)),
            _ => None,
        }
    };
}
pub(crate) use with_operation;
