module keelson.invalid/pause

go 1.24
