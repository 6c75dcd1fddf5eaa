//! A file with some faults in it, imported into a fake that has one of its users already.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::{env, fs, process};

use idpflare_management::testing::FakeIdpflare;
use idpflare_management::workflows::KeyRef;
use idpflare_management::{Client, CreateUser};

use crate::arguments::Arguments;
use crate::import::{Ending, import};

const USERS: usize = 200;

pub(crate) async fn run(arguments: &Arguments) -> Result<Ending, Box<dyn Error>> {
    let folder = Folder::new()?;
    let file = folder.0.join("users.ndjson");
    fs::write(&file, demonstration_file())?;

    let fake = FakeIdpflare::new();
    let server = fake.serve().await?;
    let key = KeyRef::prefix(fake.api_key());
    let client = Client::builder(server.authority())
        .api_key(fake.api_key())
        .build()?;
    client.send(CreateUser::new("user-7@example.com")).await?;
    let mut out = io::stdout();
    writeln!(out, "A fake IDPFlare listens on {}.", server.authority())?;
    writeln!(out, "Importing {} into it:\n", file.display())?;
    let _ = import(&client, key.clone(), &file, arguments).await?;
    writeln!(out, "\nThe same command once more:\n")?;
    let _ = import(&client, key, &file, arguments).await?;
    writeln!(
        out,
        "\nThat was the fake. Set IDPFLARE_AUTHORITY and IDPFLARE_API_KEY to import a FILE into an instance of yours."
    )?;
    // Its faults are there on purpose.
    Ok(Ending::Complete)
}

fn demonstration_file() -> String {
    let mut text = String::new();
    for number in 0..USERS {
        let line = match number {
            20 => String::from("this is not JSON"),
            40 => String::from(r#"{"given_name":"Nobody"}"#),
            60 => String::from(r#"{"email":"user-61@example.com","is_active":"yes"}"#),
            80 => String::from(r#"{"email":"User-3@Example.com"}"#),
            100 => String::from(r#"{"email":"user-100 at example.com"}"#),
            _ => format!(r#"{{"email":"user-{number}@example.com","given_name":"User {number}"}}"#),
        };
        let _ = writeln!(text, "{line}");
    }
    text
}

/// A folder that is removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Self> {
        let path = env::temp_dir().join(format!("import_users-{}", process::id()));
        fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
