//! The secrets that are used, with characters that are written differently from place to place.

/// Only visible ASCII can be sent as an API key.
pub(crate) const API_KEY: &str = r#"idk_A+p/i%K"e\y=7&Qz'<w>;9,{R}#?@"#;
pub(crate) const ROTATED_KEY: &str = r#"idk_r=O+t/a%T"e\D~x!4*(v)|^`:$J[2]"#;
/// A line end has been left over from the file that it was read from.
pub(crate) const UNSENDABLE_KEY: &str = "idk_fR0m+a/f1le%w1th\"a\\line\n";
pub(crate) const PASSWORD: &str = "cR+3a/t%E\"u\\s é?&=P'ß<w>0\u{1}d;#";
pub(crate) const NEW_PASSWORD: &str = "uP+d4/t%E\"d\\ ü~p&=a'ñ{s}5\tW:@";
pub(crate) const RAW_KEY: &str = "idk_Kx+2/r%A\"w\\ ä=k&'Ö<3>\u{7f}y;,M|";
pub(crate) const CLIENT_SECRET: &str = "ids_c+L1/e%N\"t\\ ø=S&'É[e]\r8c;,T^";
pub(crate) const AUTHORITY_PASSWORD: &str = "uRl+p4s%2Fs~wOrd=Zt5!x";

/// All of these, with names for messages.
pub(crate) const ALL: [(&str, &str); 8] = [
    ("the API key", API_KEY),
    ("the rotated key", ROTATED_KEY),
    ("the key that can't be sent", UNSENDABLE_KEY),
    ("the password of createUser", PASSWORD),
    ("the password of updateUserPassword", NEW_PASSWORD),
    ("the raw key", RAW_KEY),
    ("the client secret", CLIENT_SECRET),
    ("the password of an authority", AUTHORITY_PASSWORD),
];
