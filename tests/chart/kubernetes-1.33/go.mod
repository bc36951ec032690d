module iamtoken.dev/tests/chart/kubernetes-1.33

go 1.26.8

require k8s.io/kubernetes v1.33.13
