"""Archives onto the disk, whole and the right ones: mirrors, resumption, hashes, licences, and files got by hand."""
