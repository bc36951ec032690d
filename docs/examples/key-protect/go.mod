// A client of Key Protect, for docs/guides/key-protect.md.
module iamtoken.dev/docs/examples/key-protect

go 1.26.8

require github.com/IBM/keyprotect-go-client v0.17.3

require (
	github.com/google/uuid v1.6.0 // indirect
	github.com/hashicorp/go-cleanhttp v0.5.2 // indirect
	github.com/hashicorp/go-retryablehttp v0.7.8 // indirect
)
