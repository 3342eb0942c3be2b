//! Zip files as torch.save writes them, as far as their readers look.

use flate2::Crc;

/// A zip file of entries that are stored as they are.
pub fn zipped<N: AsRef<str>, C: AsRef<[u8]>>(entries: &[(N, C)]) -> Vec<u8> {
    let (mut file, mut list) = (Vec::new(), Vec::new());
    for (name, content) in entries {
        let (name, content) = (name.as_ref(), content.as_ref());
        let mut crc = Crc::new();
        crc.update(content);
        // From the flags to the length of what follows the name.
        let mut shared = vec![0; 8];
        for number in [crc.sum(), content.len() as u32, content.len() as u32] {
            shared.extend(number.to_le_bytes());
        }
        shared.extend((name.len() as u32).to_le_bytes());
        let place = file.len() as u32;
        list.extend([b"PK\x01\x02\0\0\0\0", &shared[..], &[0; 10]].concat());
        list.extend(place.to_le_bytes());
        list.extend(name.as_bytes());
        file.extend([b"PK\x03\x04\0\0", &shared[..], name.as_bytes(), content].concat());
    }
    let (start, count) = (file.len() as u32, entries.len() as u16);
    file.extend(&list);
    file.extend(b"PK\x05\x06\0\0\0\0");
    file.extend([count.to_le_bytes(), count.to_le_bytes()].concat());
    file.extend([(list.len() as u32).to_le_bytes(), start.to_le_bytes()].concat());
    file.extend([0, 0]);
    file
}
