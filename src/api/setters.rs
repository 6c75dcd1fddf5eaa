//! The consuming setters of optional arguments.

/// Writes a setter for each field, in one of these forms:
///
/// - `name: Option<u64>` and `name: Option<bool>` take the plain value, so that literals fit;
/// - `name: Option<Type>` takes `impl Into<Type>`;
/// - `name: [Option<Vec<Type>>]` takes `impl IntoIterator<Item = impl Into<Type>>`;
/// - `name: Type` takes `impl Into<Type>`.
///
/// A field of a struct inside is written `(inner) name`.
macro_rules! setters {
    () => {};
    ($(#[$doc:meta])* $(($outer:ident))? $field:ident: Option<u64>, $($rest:tt)*) => {
        $(#[$doc])*
        pub fn $field(mut self, $field: u64) -> Self {
            self.$($outer.)?$field = Some($field);
            self
        }

        $crate::api::setters::setters!($($rest)*);
    };
    ($(#[$doc:meta])* $(($outer:ident))? $field:ident: Option<bool>, $($rest:tt)*) => {
        $(#[$doc])*
        pub fn $field(mut self, $field: bool) -> Self {
            self.$($outer.)?$field = Some($field);
            self
        }

        $crate::api::setters::setters!($($rest)*);
    };
    ($(#[$doc:meta])* $(($outer:ident))? $field:ident: Option<$type:ty>, $($rest:tt)*) => {
        $(#[$doc])*
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            self.$($outer.)?$field = Some($field.into());
            self
        }

        $crate::api::setters::setters!($($rest)*);
    };
    ($(#[$doc:meta])* $(($outer:ident))? $field:ident: [Option<Vec<$type:ty>>], $($rest:tt)*) => {
        $(#[$doc])*
        pub fn $field(mut self, $field: impl IntoIterator<Item = impl Into<$type>>) -> Self {
            self.$($outer.)?$field = Some($field.into_iter().map(Into::into).collect());
            self
        }

        $crate::api::setters::setters!($($rest)*);
    };
    ($(#[$doc:meta])* $(($outer:ident))? $field:ident: $type:ty, $($rest:tt)*) => {
        $(#[$doc])*
        pub fn $field(mut self, $field: impl Into<$type>) -> Self {
            self.$($outer.)?$field = $field.into();
            self
        }

        $crate::api::setters::setters!($($rest)*);
    };
}

pub(crate) use setters;
