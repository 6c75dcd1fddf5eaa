/// What becomes of a user that already has the address of a line, byte for byte or in ASCII small
/// letters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnConflict {
    /// The user is left alone.
    Skip,
    /// What the line says and the user does not have is changed, with `updateUser`. The password is
    /// left alone: it may be in use.
    Update,
    /// The line fails.
    #[default]
    Fail,
}
