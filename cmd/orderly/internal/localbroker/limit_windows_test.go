package localbroker

func limitFileSize() {}
